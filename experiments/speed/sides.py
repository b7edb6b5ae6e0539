"""The sides that are compared, each as a turn that trains and tells its examples a second."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from experiments.speed import bare, peers
from experiments.speed.prepared import Prepared
from experiments.speed.rounds import Figures, Measured, Ratio
from kd_lab import training
from kd_lab.models.torch_classifier import TorchClassifier

WARM = 3  # first steps of a turn, in which kernels are made for new shapes
SIDES = {
    "a": "Hugging Face Trainer as people run it: padded to 128, teacher in every step, float32",
    "b": "Hugging Face Trainer at its best: dynamic padding, length grouping, bf16, fused AdamW, teacher in every step",
    "ours": "kd_lab.training.train: cached teacher logits",
    "bare": "a bare PyTorch loop with the same arithmetic and batches as ours",
}


class Window:
    """Rows and seconds from the end of the `skip`-th step to the end of the last."""

    def __init__(self, skip: int = WARM) -> None:
        self.skip, self.steps, self.rows = skip, 0, 0
        self._begin = self._end = self._made = time.perf_counter()

    def __call__(self, rows: int) -> None:
        """A step with so many rows has ended."""
        now = time.perf_counter()
        self.steps += 1
        if self.steps <= self.skip:
            self._begin = now
        else:
            self.rows += rows
        self._end = now

    def figures(self) -> Figures:
        """`examples_per_s` within the window, its `seconds`, `rows` and `steps`, and `whole_s` since it was made.

        Raises:
            ValueError: there was no step after those that are skipped.
        """
        if not self.rows:
            raise ValueError(
                f"{self.steps} steps, of which the first {self.skip} do not count: give more rows or steps"
            )
        seconds = self._end - self._begin
        return {
            "examples_per_s": self.rows / seconds,
            "seconds": seconds,
            "rows": self.rows,
            "steps": self.steps - self.skip,
            "whole_s": time.perf_counter() - self._made,
        }


def steps(prepared: Prepared, side: str, *, steps: int = -1, skip: int = WARM) -> Figures:
    """A turn in which the side trains: so many steps of a peer, an epoch of ours and of the bare loop.

    Args:
        steps: those that are skipped included.
        skip: first steps that do not count.
    """
    torch.use_deterministic_algorithms(False)  # kd_lab's fit leaves it on
    window = Window(skip)
    train(prepared, side, window, epochs=1, steps=steps)
    return window.figures()


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
) -> TorchClassifier:
    """A student trained the side's way.

    Args:
        steps: a peer stops after so many; -1 for whole epochs.
        same_rates: whether a peer takes kd_lab's learning rates and schedule in place of the Trainer's.
    """
    spec, tokens, student = prepared.spec, prepared.tokens, prepared.student()
    settings = replace(spec.trainer, max_epochs=epochs)
    if side == "bare":
        bare.train(student, tokens, prepared.logits, prepared.loss, spec.optimizer, settings, spec.seed, advance)
    elif side == "ours":
        with tempfile.TemporaryDirectory() as scratch:
            training.train(
                student,
                spec.loss,
                spec.optimizer,
                settings,
                spec.seed,
                tokens,
                prepared.teacher.answers,
                Path(scratch),
                keep="last",
                advance=advance,
            )
    else:
        peer(prepared, side, student, advance, epochs=epochs, steps=steps, same_rates=same_rates).train()
    return student.eval()


def peer(
    prepared: Prepared,
    side: str,
    student: TorchClassifier,
    advance: Callable[[int], None] = lambda rows: None,
    *,
    epochs: int = 1,
    steps: int = -1,
    same_rates: bool = False,
    judged: str = "validation",
) -> peers.Distillation:
    """The Trainer of side "a" or "b"."""
    spec, tokens = prepared.spec, prepared.tokens
    precision = {} if side == "a" else {"precision": prepared.precision}
    make = peers.as_people_run_it if side == "a" else peers.at_its_best
    return make(
        student,
        prepared.guide,
        tokens.split("train"),
        tokens.split(judged),
        tokens.pad_id,
        prepared.loss,
        batch_size=spec.trainer.batch_size,
        advance=advance,
        recipe=spec.optimizer if same_rates else None,
        epochs=epochs,
        steps=steps,
        seed=spec.seed,
        **precision,
    )
