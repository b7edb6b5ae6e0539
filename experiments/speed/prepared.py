"""What every side trains: the same start, data and teacher, made by kd_lab from overrides and kept in its cache."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from kd_lab.cli.compose import compose
from kd_lab.core.errors import UserError
from kd_lab.data.tokenized import Tokens
from kd_lab.losses.hybrid import Hybrid
from kd_lab.models.base import TorchClassifier
from kd_lab.models.spec import BuildContext
from kd_lab.pipeline.cell import Cell
from kd_lab.training.fit import FitSpec, Teacher
from kd_lab.training.teacher_outputs import CachedTeacherOutputs

# The sequence term is left out: the peers' loss, alpha * CE + (1 - alpha) * T^2 * KL, has none.
SAME_LOSS = ("loss=hybrid", "loss.sequence_weight=0")


@dataclass(frozen=True)
class Prepared:
    """What there is before the first training step.

    Args:
        cell: what kd_lab makes of the overrides.
        tokens: the data.
        teacher: fitted, with its cached answers.
        start: the student's weights that every side begins with, in training mode.
        guide: the teacher's model, for sides that run it in every step; in evaluation mode.
    """

    cell: Cell
    tokens: Tokens
    teacher: Teacher
    start: TorchClassifier
    guide: TorchClassifier

    @property
    def spec(self) -> FitSpec:
        """How the student is fitted."""
        return self.cell.student

    @property
    def precision(self) -> str:
        """In which kd_lab trains here."""
        return self.spec.trainer.resolve_device_and_precision()[1]

    @property
    def device(self) -> str:
        """Where kd_lab trains here."""
        return self.spec.trainer.resolve_device_and_precision()[0]

    @property
    def loss(self) -> tuple[float, float]:
        """(alpha, temperature)."""
        assert isinstance(self.spec.loss, Hybrid)
        return self.spec.loss.alpha, self.spec.loss.temperature

    @property
    def logits(self) -> torch.Tensor:
        """What the teacher says about train, (N, C)."""
        answers = self.teacher.outputs["train"]
        assert isinstance(answers, CachedTeacherOutputs)
        return answers.logits

    def student(self) -> TorchClassifier:
        """The start, to be trained."""
        return copy.deepcopy(self.start)

    def settings(self) -> dict[str, Any]:
        """What a result says of it."""
        alpha, temperature = self.loss
        train = self.tokens.split("train")
        return {
            "dataset": self.cell.dataset.name,
            "rows": {name: len(self.tokens.split(name)) for name in ("train", "validation", "test")},
            "tokens_mean": float(train.lengths.mean()),
            "tokens_longest": int(train.lengths.max()),
            "max_tokens": self.tokens.max_tokens,
            "student": self.spec.model.name,
            "teacher": self.cell.teacher.model.name if self.cell.teacher else None,
            "teacher_epochs": self.cell.teacher.trainer.max_epochs if self.cell.teacher else None,
            "batch_size": self.spec.trainer.batch_size,
            "device": self.device,
            "precision": self.precision,
            "alpha": alpha,
            "temperature": temperature,
        }


def prepare(overrides: Sequence[str]) -> Prepared:
    """Everything, from the cache or made now; nothing of it is timed.

    Raises:
        UserError: nobody chose a device, and the student would be fitted elsewhere than on the CPU.
    """
    cell = Cell(compose([*SAME_LOSS, *overrides]))
    device = cell.student.trainer.resolve_device_and_precision()[0]
    if device != "cpu" and cell.student.trainer.device == "auto":
        cure = "Add --gpu, or trainer.device=cpu teacher.trainer.device=cpu."
        raise UserError("trainer.device", expected="cpu, where all sides are timed", got=device, cure=cure)
    tokens = cell.tokens()
    teacher = cell.teaching(cell.asked(tokens, tokens))
    assert teacher is not None  # `hybrid` with alpha below 1 needs one
    assert teacher.fitted is not None  # `SAME_LOSS` has it fitted here
    return Prepared(cell, tokens, teacher, start(cell, tokens), teacher.fitted.load())


def start(cell: Cell, tokens: Tokens) -> TorchClassifier:
    """The student as `kd_lab.training.fit` builds it."""
    pl.seed_everything(cell.student.seed, verbose=False)
    context = BuildContext(
        len(tokens.classes), tokens.vocab_size, tokens.pad_id, tokens.fingerprint, tokens.sentences, cell.cache
    )
    return cell.student.model.build(context)


def forget_student(cell: Cell) -> None:
    """Takes the fitted student out of the cache, so that it is fitted anew."""
    shutil.rmtree(cell.cache.root / "fit" / cell.fingerprints["fit"], ignore_errors=True)
