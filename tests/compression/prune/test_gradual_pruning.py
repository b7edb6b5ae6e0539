"""While a model is trained on, ever more of its weights are zero, by the schedule; what is zero stays so."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from readable import fresh, training_of
from torch import nn

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.prune import magnitude
from kd_lab.compression.prune.magnitude import GradualPruning, PruneL1
from kd_lab.compression.zeros import matrices, share_of_zeros, tensors
from kd_lab.models.base import TorchClassifier
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.training.checkpointing import History

SHARES = [0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5, 0.75, 1.0]  # of all updates; a ramp of half has 4 stages
SPEC = LstmAttention(embedding=8, hidden=8, layers=1, init="random")


def layer(zeros: int = 0) -> nn.Linear:
    """2000 weights, the first of which are zero."""
    torch.manual_seed(2)
    made = nn.Linear(40, 50)
    with torch.no_grad():
        made.weight.flatten()[:zeros] = 0.0
    return made


def updated(pruning: GradualPruning, share: float, scale: float = 1.0) -> list[torch.Tensor]:
    """Every weight moves, as by an optimizer, between the calls that training makes; where each group is zero then."""
    pruning.before_update()
    for weight in (weight for group in pruning.groups for weight in tensors(group)):
        weight.add_(torch.randn_like(weight), alpha=scale)
    pruning.after_update(share)
    return [torch.cat([weight.flatten() == 0 for weight in tensors(group)]) for group in pruning.groups]


@pytest.mark.parametrize(
    ("zeros", "counts"),
    [
        (0, [0, 925, 925, 1400, 1575, 1600, 1600, 1600]),  # 2000 · 0.8 · (1 - (1 - x)³) at x = 0, ¼, ½, ¾, 1
        (400, [400, 1094, 1094, 1450, 1581, 1600, 1600, 1600]),  # 2000 · (0.8 - 0.6 · (1 - x)³)
    ],
)
def test_the_zeros_are_as_many_as_worked_out_by_hand_and_stay(zeros: int, counts: list[int]) -> None:
    pruning = GradualPruning([matrices(layer(zeros))], 0.8, ramp=0.5, stages=4)
    seen = [updated(pruning, share)[0] for share in SHARES]
    assert [int(zero.sum()) for zero in seen] == counts
    assert not any((before & ~after).any() for before, after in pairwise(seen))


def test_the_smallest_go_at_each_stage() -> None:
    found = layer()
    before = found.weight.detach().clone().abs().flatten()
    [zero] = updated(GradualPruning([matrices(found)], 0.8, ramp=0.5, stages=4), 0.25, scale=0.0)
    assert before[zero].max() <= before[~zero].min()


def test_each_group_reaches_the_share_for_itself() -> None:
    groups = [matrices(layer()), matrices(layer(1000))]
    pruning = GradualPruning(groups, 0.6, ramp=0.5, stages=4)
    shares = [[float(zero.float().mean()) for zero in updated(pruning, share)] for share in (0.25, 0.5)]
    assert shares == [pytest.approx([0.525, 0.5875], abs=5e-4), pytest.approx([0.6, 0.6])]


def test_a_model_with_more_zeros_than_asked_for_loses_no_more_and_keeps_them() -> None:
    pruning = GradualPruning([matrices(layer(1400))], 0.5, ramp=0.5, stages=4)
    assert [int(updated(pruning, share)[0].sum()) for share in SHARES] == [1400] * len(SHARES)


# in training


class Killed(BaseException):
    """What ends training here in the place of a kill."""


@pytest.fixture
def trained(context: CompressionContext) -> CompressionContext:
    """A context whose training is that of a run."""
    context.training = training_of(SPEC)
    return context


@pytest.fixture
def model() -> TorchClassifier:
    return fresh(SPEC).eval()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The share of zeros after each update."""
    shares: list[float] = []
    after = GradualPruning.after_update

    def note(self: GradualPruning, share: float) -> None:
        after(self, share)
        shares.append(share_of_zeros(self.groups[0]))

    monkeypatch.setattr(GradualPruning, "after_update", note)
    return shares


def test_a_fit_ends_at_the_share_and_goes_on_with_the_same_zeros(model, trained, seen: list[float]) -> None:
    pruned = PruneL1(0.6, epochs=2, ramp=0.5, stages=4).apply(model, trained)
    half = len(seen) // 2
    steps = sorted({share for share in seen if share})
    assert steps == pytest.approx([0.6 * (1 - (1 - x) ** 3) for x in (0.25, 0.5, 0.75, 1)], abs=1e-3)
    assert seen == sorted(seen)
    assert seen[half - 2] < steps[-1] == seen[half - 1] == seen[-1], "the second half recovers"
    assert trained.notes["prune_l1"] == {"share_zero_before": 0.0, "share_zero_after": seen[-1]}
    before = [weight.clone() for weight in tensors(matrices(pruned))]
    trained.scratch = trained.scratch.with_name("later")
    for old, new in zip(before, tensors(matrices(trained.recover(pruned, 1, 1.0))), strict=True):
        assert torch.equal(old == 0, new == 0)
        assert not torch.equal(old, new)


def test_one_that_was_cut_off_ends_alike(model, trained, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = PruneL1(0.6, epochs=2, ramp=0.9)
    whole = step.apply(model, trained)
    trained.scratch = tmp_path / "cut"
    with monkeypatch.context() as patch:
        after = History.on_train_batch_end

        def kill(self, trainer, module, *rest) -> None:
            if trainer.current_epoch == 1:
                raise Killed
            after(self, trainer, module, *rest)

        patch.setattr(History, "on_train_batch_end", kill)
        with pytest.raises(Killed):
            step.apply(model, trained)
    resumed = step.apply(model, trained)
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_without_epochs_nothing_is_trained(model, trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(magnitude, "GradualPruning", lambda *_: pytest.fail("it is at once"))
    assert share_of_zeros(matrices(PruneL1(0.6).apply(model, trained))) == pytest.approx(0.6, abs=1e-3)
