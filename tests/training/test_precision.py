"""What a fit runs in is what is recorded: a device or a precision that this machine has not is refused before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from kd_lab.cli.compose import compose
from kd_lab.core import machine
from kd_lab.core.errors import UserError
from kd_lab.data.tokenized import Tokens
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.lstm_attention import LstmAttentionClassifier
from kd_lab.pipeline import run
from kd_lab.pipeline.cell import Cell
from kd_lab.training import settings as trainer
from kd_lab.training.active_embedding import ActiveEmbedding
from kd_lab.training.lightning_module import Distillation
from kd_lab.training.loop import train
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer

CPU = Trainer(max_epochs=2, batch_size=16, precision="32-true", device="cpu")
LOSS = WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0})
STEEP = WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1000.0})
UPDATES = 2 * 9  # of CPU on the toy data set


class Scaled(MixedPrecision):
    """Scales the loss as "16-mixed" does on a GPU, and computes in float32: nothing may come out differently."""

    def __init__(self, scale: float) -> None:
        super().__init__("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=scale))

    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=False)


def model(tokens: Tokens) -> LstmAttentionClassifier:
    torch.manual_seed(1)
    data = {"vocabulary": tokens.vocab_size, "pad_id": tokens.pad_id, "classes": len(tokens.classes)}
    return LstmAttentionClassifier({**data, "embedding": 8, "hidden": 8, "layers": 1, "dropout": 0.0}).train()


class Seen:
    """The optimizer and the embedding of the last fit."""

    optimizer: torch.optim.Optimizer
    embedding: ActiveEmbedding


def fitted(
    tokens: Tokens, folder: Path, patch: pytest.MonkeyPatch, scale: float | None, loss: WeightedSum = LOSS
) -> tuple[LstmAttentionClassifier, Seen, dict[str, Any]]:
    """A fit without a scaler, or with one that begins at `scale`."""
    one, seen = model(tokens), Seen()
    lightning, configure = pl.Trainer, Distillation.configure_optimizers

    def scaled(*, precision: str, plugins: list[Any], **options: Any) -> pl.Trainer:
        return lightning(plugins=[*plugins, Scaled(scale)], **options)  # type: ignore[arg-type]

    def configured(self: Distillation) -> Any:
        found = configure(self)
        seen.optimizer, seen.embedding = found["optimizer"], self.model.embedding
        return found

    with patch.context() as inner:
        inner.setattr(Distillation, "configure_optimizers", configured)
        if scale is not None:
            inner.setattr("kd_lab.training.loop.pl.Trainer", scaled)
        optimizer = AdamW(head_lr=0.01, warmup=0.0, weight_decay=0.1)
        about = train(one, loss, optimizer, replace(CPU, clip_norm=0.05), 3, tokens, {}, folder, keep="last")
    return one, seen, about


def test_gradients_that_are_scaled_for_float16_are_clipped_at_their_own_size(
    toy_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were clipped while they were still 65,536 times too large, and the weights hardly moved."""
    plain, _, _ = fitted(toy_tokens, tmp_path / "plain", monkeypatch, None)
    scaled, _, _ = fitted(toy_tokens, tmp_path / "scaled", monkeypatch, 2.0**16)
    for one, other in zip(plain.parameters(), scaled.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-6)
    assert not torch.equal(scaled.classifier.weight, model(toy_tokens).classifier.weight)


def test_an_update_that_is_skipped_counts_nowhere(
    toy_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scaled by 2^127 the gradient is infinite: the scaler skips updates until it is not."""
    _, whole, _ = fitted(toy_tokens, tmp_path / "plain", monkeypatch, None, STEEP)
    _, seen, about = fitted(toy_tokens, tmp_path / "scaled", monkeypatch, 2.0**127, STEEP)
    steps = {int(state["step"]) for state in seen.optimizer.state.values()}
    assert len(steps) == 1
    assert 0 < steps.pop() < UPDATES
    assert {int(state["step"]) for state in whole.optimizer.state.values()} == {UPDATES}
    assert whole.embedding.shrunk < seen.embedding.shrunk < 1.0
    assert len(about["history"]) == 2


def test_a_loss_is_a_number_though_scaled_up_for_float16_it_is_not(
    toy_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, about = fitted(toy_tokens, tmp_path / "fit", monkeypatch, 2.0**127.9)
    assert about["history"][-1]["train/loss"] < 10


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"device": "cpu", "precision": "16-mixed"}, "trainer.precision=bf16-mixed"),
        ({"device": "cpu", "precision": "bf16-true"}, "trainer.precision=bf16-mixed"),
        ({"device": "cpu", "precision": "64-true"}, "trainer.precision=32-true"),
        ({"device": "cuda", "precision": "bf16-true"}, "trainer.precision=bf16-mixed"),
        ({"device": "mps", "precision": "16-mixed"}, "trainer.precision=bf16-mixed"),
    ],
)
def test_a_precision_that_would_not_run_is_refused_and_the_cure_works(
    settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "has_device", lambda name: True)
    chosen = Trainer(**settings)  # type: ignore[arg-type]
    with pytest.raises(UserError) as caught:
        chosen.check("teacher.trainer")
    assert str(caught.value).endswith(f"Choose teacher.{said}.")
    replace(chosen, precision=said.partition("=")[2]).check("teacher.trainer")


def test_float16_is_allowed_on_an_nvidia_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "has_device", lambda name: True)
    Trainer(device="cuda", precision="16-mixed").check()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_and_the_cure_works(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "has_device", lambda name: name == "cpu")
    monkeypatch.setattr(machine, "has_device", lambda name: name == "cpu")
    with pytest.raises(UserError, match=rf"^trainer\.device={device}: .* got none\. Choose trainer\.device=auto\.$"):
        Trainer(device=device).check()
    Trainer(device="auto").check()


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "auto"])
def test_what_is_offered_on_a_cpu_runs_and_is_what_is_recorded(
    precision: str, toy_tokens: Tokens, tmp_path: Path
) -> None:
    one, settings = model(toy_tokens), replace(CPU, precision=precision)
    about = train(one, LOSS, AdamW(), settings, 3, toy_tokens, {}, tmp_path / "fit")
    assert (about["device"], about["precision"]) == settings.resolve_device_and_precision()
    assert {weight.dtype for weight in one.parameters()} == {torch.float32}


@pytest.mark.parametrize("whose", ["trainer", "teacher.trainer"])
def test_a_run_is_refused_before_any_of_its_artifacts_is_made(
    whose: str, toy_csv: Path, tmp_path: Path, own_cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cell, "tokens", lambda self: pytest.fail("it began"))
    data = ["dataset=csv", f"dataset.path={toy_csv}", "model=lstm_attention", "tracking=none"]
    config = compose([*data, "trainer.device=cpu", "teacher.trainer.device=cpu", f"{whose}.precision=16-mixed"])
    with pytest.raises(UserError, match=rf"^{whose}\.precision: "):
        run.run(config, tmp_path / "cell")
    assert not own_cache.root.exists()


def test_the_plan_of_another_machines_cell_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report opens the cells that a GPU has fitted."""
    monkeypatch.setattr(trainer, "has_device", lambda name: name == "cpu")
    assert Cell(compose(["trainer.device=cuda"])).fingerprints["fit"]


def test_library_users_are_refused_alike(toy_tokens: Tokens, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^trainer\.precision: "):
        train(model(toy_tokens), LOSS, AdamW(), replace(CPU, precision="16-mixed"), 3, toy_tokens, {}, tmp_path)
