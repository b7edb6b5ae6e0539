"""The sides that are compared, each as a turn that trains and tells its examples a second."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from experiments.speed import bare, peers
from experiments.speed.prepared import Prepared
from experiments.speed.rounds import Figures, Measured, Ratio
from experiments.speed.window import WARM, Window
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.losses.hybrid import Hybrid
from kd_lab.models.base import TorchClassifier
from kd_lab.training import loop
from kd_lab.training.fit import FitSpec

RECORDING = 2  # epochs in which a GPU meets nearly all shapes of batches often enough to record them
SIDES = {
    "a": "Hugging Face Trainer as people run it: padded to 128, teacher in every step, float32",
    "b": "Hugging Face Trainer at its best: dynamic padding, length grouping, bf16, fused AdamW, teacher in every step",
    "ours": "kd_lab.training.loop.train: cached teacher logits",
    "bare": "a bare PyTorch loop with the same arithmetic and batches as ours",
    "eager": "bare without recorded passes; on a GPU",
}


def steps(prepared: Prepared, side: str, *, steps: int = -1, skip: int = WARM) -> Figures:
    """A turn in which the side trains: so many steps of a peer, an epoch of ours and of the bare loop.

    On a GPU ours and the bare loop train for two epochs before, in which passes are recorded, and the others for ten
    times as many steps as are skipped on a CPU.

    Args:
        steps: those that are skipped included.
        skip: first steps that do not count.
    """
    torch.use_deterministic_algorithms(False)  # a peer may have left it on
    before, more = _before(prepared, side, skip)
    window = Window(more, prepared.device)
    train(prepared, side, window, epochs=before + 1, steps=steps)
    return window.figures()


def beside(
    prepared: Prepared, side: str, *, loss: tuple[float, float], epochs: int, folder: str, together: int
) -> Figures:
    """A turn of one of several processes that train a student each, and begin to count when all are ready.

    Args:
        side: names the process; all are ours.
        loss: (alpha, temperature) of this student.
        epochs: that count, after some that do not.
        folder: empty at the beginning; there they tell each other that they are ready.
        together: how many they are.
    """

    def meet() -> None:
        (Path(folder) / str(os.getpid())).touch()
        while len(os.listdir(folder)) < together:
            time.sleep(0.0005)

    torch.use_deterministic_algorithms(False)
    alpha, temperature = loss
    student = replace(prepared.cell.student, loss=Hybrid(alpha, temperature, 0.0))
    before, more = _before(prepared, "ours", WARM)
    window = Window(more, prepared.device, meet)
    train(prepared, "ours", window, epochs=before + epochs, spec=student)
    return {**window.figures(), **window.when()}


def _before(prepared: Prepared, side: str, skip: int) -> tuple[int, int]:
    """Epochs, and all steps, that do not count."""
    if prepared.device != "cuda":
        return 0, skip
    if side not in ("ours", "bare"):
        return 0, 10 * skip
    spec, rows = prepared.spec.trainer, len(prepared.tokens.split("train"))
    return RECORDING, RECORDING * -(-rows // spec.batch_size) + skip


def judge(prepared: Prepared, side: str, *, rows: int) -> Figures:
    """A turn in which a peer evaluates its student on some rows of validation; (a) runs its teacher there too."""
    trainer = peer(prepared, side, prepared.student())
    some = [trainer.eval_dataset[row] for row in range(min(rows, len(trainer.eval_dataset)))]
    trainer.evaluate(some[:8])
    start = time.perf_counter()
    trainer.evaluate(some)
    return {"rows_per_s": len(some) / (time.perf_counter() - start), "rows": len(some)}


def ratios(measured: Measured, sides: Sequence[str]) -> dict[str, Ratio]:
    """How many times as fast ours is as each of the other sides."""
    others = [side for side in sides if side != "ours" and "ours" in sides]
    return {f"ours / {side}": measured.ratio("examples_per_s", "ours", side) for side in others}


def train(
    prepared: Prepared,
    side: str,
    advance: Callable[[int], None],
    *,
    epochs: int,
    steps: int = -1,
    same_rates: bool = False,
    spec: FitSpec | None = None,
) -> TorchClassifier:
    """A student trained the side's way.

    Args:
        steps: a peer stops after so many; -1 for whole epochs.
        same_rates: whether a peer takes kd_lab's learning rates and schedule in place of the Trainer's.
        spec: of ours, in place of what is prepared.
    """
    spec, tokens, student = spec or prepared.spec, prepared.tokens, prepared.student()
    settings = replace(spec.trainer, max_epochs=epochs)
    if side in ("bare", "eager"):
        bare.train(
            student,
            tokens,
            prepared.logits,
            prepared.loss,
            spec.optimizer,
            settings,
            spec.seed,
            advance,
            record=side == "bare",
        )
    elif side == "ours":
        keep_freed_memory()  # as the command does
        with tempfile.TemporaryDirectory() as scratch:
            loop.train(
                student,
                spec.loss,
                spec.optimizer,
                settings,
                spec.seed,
                tokens,
                prepared.teacher.outputs,
                Path(scratch),
                keep="last",
                advance=advance,
            )
    else:
        recipe = spec.optimizer if same_rates else None
        peer(prepared, side, student, advance=advance, recipe=recipe, epochs=epochs, steps=steps).train()
    return student.eval()


def peer(prepared: Prepared, side: str, student: TorchClassifier, **options: Any) -> peers.Distillation:
    """The Trainer of side "a" or "b"; with more options of `peers.trainer`."""
    spec, tokens = prepared.spec, prepared.tokens
    return peers.trainer(
        side,
        student,
        prepared.guide,
        tokens.split("train"),
        tokens.split("validation"),
        tokens.pad_id,
        prepared.loss,
        batch_size=spec.trainer.batch_size,
        seed=spec.seed,
        device=prepared.device,
        precision=prepared.precision,
        **options,
    )
