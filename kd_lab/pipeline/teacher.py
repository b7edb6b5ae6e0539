"""What teaches a cell's student: a model fitted here or elsewhere, a file of answers, or several of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.progress import say
from kd_lab.data.dataset import Dataset
from kd_lab.data.tokenized import Tokens
from kd_lab.data.tokenizer import TokenizerBase
from kd_lab.models.base import TorchClassifier
from kd_lab.training import answers_teacher, fit
from kd_lab.training.answers_teacher import AnswersTeacher
from kd_lab.training.ensemble_teacher import EnsembleTeacher, combined
from kd_lab.training.fit import FitSpec, Fitted
from kd_lab.training.ready_teacher import ReadyTeacher

TeacherSpec = FitSpec | ReadyTeacher | AnswersTeacher | EnsembleTeacher


def name_of(spec: TeacherSpec) -> str:
    """What results call it."""
    return str(spec.model.name if isinstance(spec, FitSpec) else spec.name)


def members(spec: TeacherSpec) -> Mapping[str, TeacherSpec]:
    """Where it stands in the config -> a teacher that is a model or a file: itself, or those that it is made of."""
    if not isinstance(spec, EnsembleTeacher):
        return {"teacher": spec}
    return {
        place.replace("teacher", f"teacher.members.{name}", 1): one
        for name, member in spec.members.items()
        for place, one in members(member).items()
    }


@contextmanager
def as_member(name: str) -> Iterator[None]:
    """Mistakes within name the options where they stand: those of `teacher` are those of its member."""

    def placed(text: str) -> str:
        return re.sub(rf"\bteacher\.(?!members\.{re.escape(name)}\.)", lambda _: f"teacher.members.{name}.", text)

    try:
        yield
    except UserError as error:
        where, cure = placed(error.where), placed(error.cure)
        raise UserError(where, expected=error.expected, got=error.got, cure=cure) from error


def teacher_fingerprint(spec: TeacherSpec, tokens_of: Callable[[TeacherSpec], str], dataset: Dataset) -> str:
    """The name of what it makes, known before it is made.

    Args:
        tokens_of: fingerprint of the data set as a model reads it.
        dataset: what it is asked of.
    """
    if isinstance(spec, FitSpec):
        return fingerprint(fit.fingerprint_parts(spec, tokens_of(spec), None))
    if isinstance(spec, ReadyTeacher):
        return fingerprint(spec.fit_parts(tokens_of(spec)))
    if isinstance(spec, AnswersTeacher):
        return fingerprint(spec.fit_parts(dataset))
    made = {name: teacher_fingerprint(one, tokens_of, dataset) for name, one in spec.members.items()}
    code = code_hash("kd_lab.training.ensemble_teacher")
    return fingerprint({"members": made, "shares": spec.shares, "mean_of": spec.mean_of, "code": code})


@dataclass(frozen=True)
class ModelTeacher:
    """A model that was fitted, here or elsewhere.

    Args:
        tokens, taught: the data set as it reads it, and what the student learns from.
        load: gives the model; at most once.
        ask: its logits for the rows of a split in a precision, each computed once.
    """

    spec: FitSpec | ReadyTeacher
    fitted: Fitted
    tokens: Tokens
    taught: Tokens
    load: Callable[[], TorchClassifier]
    ask: Callable[[Tokens, str, str], torch.Tensor]

    @property
    def fingerprint(self) -> str:
        """Of the fit."""
        return self.fitted.fingerprint

    def logits(self, split: str, precision: str) -> torch.Tensor:
        """(N, C) about the rows of a split, train's as the student learns from; NaN where it says nothing."""
        rows = self.taught if split == "train" else self.tokens
        return self.ask(rows, split, precision)

    def about(self) -> dict[str, Any]:
        """What a result says of it beside its name and its metrics."""
        return {"labels": found} if (found := self.fitted.about().get("labels")) else {}


@dataclass(frozen=True)
class FileTeacher:
    """A file of answers; nobody can be asked again.

    Args:
        dataset, taught: what is judged, and what the student learns from.
        tokens: the data set as the student reads it.
        cache: where what it says is kept, row by row.
    """

    spec: AnswersTeacher
    dataset: Dataset
    taught: Dataset
    tokens: Tokens
    cache: Cache
    fingerprint: str
    fitted: None = None

    def logits(self, split: str, precision: str) -> torch.Tensor:
        """See `ModelTeacher`."""
        return torch.from_numpy(self._of(split)[0])

    def about(self) -> dict[str, Any]:
        """See `CellTeacher`: split -> how many rows are answered, and how often by the gold label."""
        return {"answers": {split: self._of(split)[1] for split in ("train", "validation", "test")}}

    @property
    def labels_alone(self) -> bool:
        """Whether the file names labels, and says nothing of the other classes."""
        return bool(self._of("train")[1]["labels_alone"])

    def tell(self) -> None:
        """Says how much of train and validation is answered, and how well."""
        for split in ("train", "validation"):
            say(answers_teacher.told(name_of(self.spec), split, self._of(split)[1]))

    def _of(self, split: str) -> Any:
        return self.spec.logits_of(self.taught if split == "train" else self.dataset, split, self.cache)


@dataclass(frozen=True)
class SeveralTeachers:
    """Several as one, each asked and kept by itself."""

    spec: EnsembleTeacher
    members: Sequence[CellTeacher]
    fingerprint: str
    fitted: None = None

    @property
    def tokens(self) -> Tokens:
        """See `ModelTeacher`."""
        return self.members[0].tokens

    def logits(self, split: str, precision: str) -> torch.Tensor:
        """See `ModelTeacher`."""
        asked = []
        for name, one in zip(self.spec.members, self.members, strict=True):
            with as_member(name):
                asked.append(one.logits(split, precision))
        return combined(asked, list(self.spec.shares.values()), self.spec.mean_of, self.tokens.multi_label)

    def about(self) -> dict[str, Any]:
        """See `CellTeacher`: what is said of each member."""
        each = zip(self.spec.shares.items(), self.members, strict=True)
        told = {name: {"share": share, "fingerprint": one.fingerprint, **one.about()} for (name, share), one in each}
        return {"members": told}


def reads_with(spec: TeacherSpec, configured: TokenizerBase, of_model: Callable[[Any], TokenizerBase]) -> TokenizerBase:
    """What turns texts into the pieces that a teacher knows.

    Args:
        configured: the tokenizer of the config.
        of_model: gives that of a model that is to be fitted.
    """
    if isinstance(spec, ReadyTeacher):
        return spec.tokenizer
    return of_model(spec.model) if isinstance(spec, FitSpec) else configured


CellTeacher = ModelTeacher | FileTeacher | SeveralTeachers  # that can be asked
