"""The sides of a benchmark do the same work: the same loss, the same weights in the end, the batches they promise."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from experiments.speed import bare, peers, window
from experiments.speed.loss import distillation
from experiments.speed.window import Window
from kd_lab.core.types import Batch, Outputs
from kd_lab.data.loader import BatchLoader
from kd_lab.losses.hybrid import Hybrid
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.training.loop import train
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.teacher_outputs import CachedTeacherOutputs

SMALL = LstmAttention(embedding=8, hidden=8, layers=2, dropout=0.3, init="random")
ADAMW = AdamW(head_lr=0.02)


@pytest.fixture
def model(toy_tokens, own_cache):
    torch.manual_seed(0)
    return SMALL.build(BuildContext(3, toy_tokens.vocab_size, toy_tokens.pad_id, "t", list, own_cache))


@pytest.fixture
def taught(toy_tokens):
    return 3 * torch.randn(len(toy_tokens.split("train")), 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("alpha", "temperature"), [(0.5, 2.0), (0.1, 8.0), (0.9, 1.0)])
def test_the_peers_loss_is_kd_labs_hybrid_without_the_sequence_term(alpha, temperature):
    random = torch.Generator().manual_seed(0)
    ours, theirs = 4 * torch.randn(2, 16, 7, generator=random)
    labels = torch.randint(7, (16,), generator=random)
    nothing = torch.zeros(16, 1, dtype=torch.int64)
    batch = Batch(labels, nothing, nothing, labels, teacher=Outputs(theirs))
    total, _ = Hybrid(alpha, temperature, 0.0)(Outputs(ours), batch)
    assert distillation(ours, labels, theirs, alpha, temperature).item() == pytest.approx(total.item(), rel=1e-6)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_bare_loop_ends_with_the_weights_of_kd_labs_fit(model, toy_tokens, taught, tmp_path, precision):
    """BatchLoader, dropout, loss, clipping, groups, schedule: were one of them another, the weights would tell."""
    settings = Trainer(max_epochs=2, batch_size=16, accumulate=2, clip_norm=0.05, precision=precision, device="cpu")
    start, loop = copy.deepcopy(model), copy.deepcopy(model)
    answers = dict.fromkeys(("train", "validation"), CachedTeacherOutputs(taught))
    done: dict[str, list[int]] = {"ours": [], "bare": []}
    loss = Hybrid(0.3, 2.0, 0.0)
    train(model, loss, ADAMW, settings, 5, toy_tokens, answers, tmp_path, keep="last", advance=done["ours"].append)
    torch.use_deterministic_algorithms(False)
    bare.train(loop, toy_tokens, taught, (0.3, 2.0), ADAMW, settings, 5, done["bare"].append)
    assert done["ours"] == done["bare"]
    assert len(done["bare"]) == 2 * -(-len(toy_tokens.split("train")) // 16)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(loop.get_parameter(name), weight, rtol=0, atol=1e-5, msg=name)
    assert (
        max(float((a - b).detach().abs().max()) for a, b in zip(start.parameters(), loop.parameters(), strict=True))
        > 0.01
    )


def peer(side, model, toy_tokens, **options):
    train_rows, judged = toy_tokens.split("train"), toy_tokens.split("validation")
    teacher = copy.deepcopy(model).eval()
    options = {"batch_size": 16, **options}
    return peers.trainer(
        side, copy.deepcopy(model), teacher, train_rows, judged, toy_tokens.pad_id, (0.3, 2.0), **options
    )


def test_as_people_run_it_every_row_is_padded_to_128(model, toy_tokens):
    trainer = peer("a", model, toy_tokens)
    batches = list(trainer.get_train_dataloader())
    assert {batch["input_ids"].shape[1] for batch in batches} == {128}
    assert sum(len(batch["labels"]) for batch in batches) == len(toy_tokens.split("train"))
    assert not trainer.args.bf16


def test_at_its_best_rows_of_like_length_are_padded_to_their_longest(model, toy_tokens):
    trainer = peer("b", model, toy_tokens, batch_size=4)
    batches = list(trainer.get_train_dataloader())
    real = sum(int(batch["attention_mask"].sum()) for batch in batches)
    assert real == int(toy_tokens.split("train").lengths.sum())
    assert all(int(batch["attention_mask"].sum(dim=1).max()) == batch["input_ids"].shape[1] for batch in batches)
    assert real / sum(batch["input_ids"].numel() for batch in batches) > 0.9
    assert trainer.args.bf16
    assert trainer.args.optim == "adamw_torch_fused"


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_peers_loss_on_a_batch_is_kd_labs_whatever_the_padding(side, model, toy_tokens):
    trainer = peer(side, model.eval(), toy_tokens)
    rows = torch.arange(6)
    batch = BatchLoader(toy_tokens.split("train"), 6, toy_tokens.pad_id).batch(rows.numpy())
    inputs = trainer.data_collator([trainer.train_dataset[int(row)] for row in rows])
    inputs["labels"] = (batch.labels + 1) % 3  # labels that neither of the two, who are alike, would give
    for weight in trainer.teacher.classifier.classifier.parameters():
        weight.data.mul_(3.0)
    taught = trainer.teacher.classifier(batch)
    expected, _ = Hybrid(0.3, 2.0, 0.0)(model(batch), batch._replace(labels=inputs["labels"], teacher=taught))
    trainer.precision, trainer.judged_with_teacher = "32-true", True
    assert trainer.compute_loss(trainer.model.eval(), inputs).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_peer_learns_and_tells_the_rows_of_each_step(model, toy_tokens):
    before, told = model.classifier.weight.detach().clone(), []
    trainer = peer("b", model, toy_tokens, advance=told.append, recipe=ADAMW, steps=3)
    trainer.train()
    assert told == [16, 16, 16]
    assert not torch.equal(trainer.model.classifier.classifier.weight, before)
    assert [group["initial_lr"] for group in trainer.optimizer.param_groups] == [ADAMW.head_lr] * 2


def test_a_window_counts_what_comes_after_the_first_steps(monkeypatch):
    clock = iter([0.0, 10.0, 12.0, 13.0, 14.0, 20.0])
    monkeypatch.setattr(window, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    steps = Window(skip=2)
    for rows in (100, 100, 6, 4):
        steps(rows)
    assert steps.figures() == {"examples_per_s": 10 / 2.0, "seconds": 2.0, "rows": 10, "steps": 2, "whole_s": 20.0}


def test_a_window_without_steps_that_count_is_refused():
    steps = Window(skip=2)
    steps(8)
    steps(8)
    with pytest.raises(ValueError, match="2 steps, of which the first 2 do not count"):
        steps.figures()
