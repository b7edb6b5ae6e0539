"""What a term of a loss is, and the checks of what it is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, ModelShape, Outputs

# The student once more, after something is done to its word vectors (B, T, H).
Perturbed = Callable[[Batch, Callable[[Tensor], Tensor]], Outputs]
NO_TEACHER = "Choose a teacher, e.g. teacher=minilm."


class Term(nn.Module):
    """One reason for a student to change, as a scalar; the file it lies in gives it its name."""

    needs: ClassVar[frozenset[str]] = frozenset()  # fields of the teacher's Outputs that it reads
    returns: ClassVar[frozenset[str]] = frozenset({"logits"})  # fields of Outputs that the student must fill
    fewest_classes: ClassVar[int] = 2  # with fewer, the term is constant or undefined
    multi_label: ClassVar[bool] = False  # whether it is defined where a row may bear several labels
    stands_alone: ClassVar[bool] = True  # False where such terms alone do not say which class is right
    uses_unlabelled: ClassVar[bool] = False  # whether rows without a label count though no teacher judges them
    perturbs: ClassVar[bool] = False  # whether it asks the student again by `perturbed`
    perturbed: Perturbed | None = None  # set while a fit goes on
    has_weights: ClassVar[bool] = False  # whether `build` makes weights of its own, which are fitted and not saved

    def __init__(self) -> None:  # nn.Module's takes *args, which are no options of a term
        super().__init__()

    def prepare(self, counts: Tensor, rows: int) -> None:
        """Told, before a fit, how many rows of train bear each class, (C,) int64, and how many have a label at all."""

    def build(self, student: Outputs, batch: Batch) -> None:
        """Makes the term's own weights anew, before a fit, for outputs of these shapes; see `has_weights`."""

    def check_classes(self, name: str, classes: int) -> None:
        """Refuses data of so few classes that the term is constant or undefined.

        Args:
            name: what the loss calls the term.

        Raises:
            UserError: there are too few.
        """
        if classes < self.fewest_classes:
            raise UserError(
                f"loss term {name!r}",
                expected=f"at least {self.fewest_classes} classes",
                got=str(classes),
                cure="Look at dataset.label_column, or choose another loss, e.g. loss=hybrid."
                if classes < 2
                else "Choose another loss, e.g. loss=hybrid.",
            )

    def check_models(self, name: str, student: ModelShape, teacher: ModelShape) -> None:
        """Refuses, before any fit, a student and a teacher whose outputs cannot be compared.

        Args:
            name: what the loss calls the term.

        Raises:
            UserError: they cannot.
        """

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """The term's size, a scalar in float32 or wider.

        Args:
            student: what the student says about the batch; gradients flow into it.
            batch: the examples, with what the teacher says about them, which counts as constant.
        """
        raise NotImplementedError

    def pair(self, student: Outputs, batch: Batch, field: str, cure: str) -> tuple[Tensor, Tensor]:
        """`field` as the student and as the teacher say it, alike in shape; the teacher's is detached.

        Half-precision numbers are widened to float32; float64 stays float64.

        Raises:
            UserError: one of the two is missing, or their shapes differ (then with `cure`).
        """
        of_student, of_teacher = self.both(student, batch, field)
        self.need_alike(of_student, of_teacher, field, cure)
        return of_student, of_teacher

    def need_alike(self, of_student: Tensor, of_teacher: Tensor, field: str, cure: str) -> None:
        """Refuses a `field`, or a part of it, that is of two shapes.

        Raises:
            UserError: it is.
        """
        if of_student.shape != of_teacher.shape:
            raise UserError(
                f"loss term {self.file_name!r}",
                expected=f"teacher {field} of the student's shape {list(of_student.shape)}",
                got=f"{list(of_teacher.shape)}",
                cure=cure,
            )

    def both(self, student: Outputs, batch: Batch, field: str) -> tuple[Tensor, Tensor]:
        """As `pair`, of any shapes.

        Raises:
            UserError: one of the two is missing.
        """
        of_student = require(student, field, "student", self.file_name)
        of_teacher = require(batch.teacher, field, "teacher", self.file_name)
        return wide(of_student), wide(of_teacher.detach())

    @property
    def file_name(self) -> str:
        """That of the file it lies in, for errors."""
        return type(self).__module__.rpartition(".")[-1]


def require(outputs: Outputs | None, field: str, who: str, term: str) -> Tensor:
    """`field` of what the `who`, "student" or "teacher", said.

    Raises:
        UserError: nothing was said, or not this.
    """
    value: Tensor | None = getattr(outputs, field, None)
    if value is None:
        raise UserError(
            f"loss term {term!r}",
            expected=f"{who} {field}",
            got="none in the batch" if outputs is None else f"outputs without {field}",
            cure=NO_TEACHER if outputs is None else f"Choose a {who} that gives {field}, or leave this term out.",
        )
    return value


def wide(values: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they come so."""
    return values if values.dtype == torch.float64 else values.float()


def checked(where: str, value: object, expected: str, holds: Callable[[float], bool], cure: str) -> float:
    """`value` as a float, when it is a finite number for which `holds` is true.

    Raises:
        UserError: it is not; a truth value and text are no numbers.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not holds(value):
        raise UserError(where, expected=expected, got=repr(value), cure=cure)
    return float(value)


def whole_of(where: str, value: object) -> int:
    """`value` when it is a whole number from 1.

    Raises:
        UserError: it is not.
    """
    whole = isinstance(value, int)
    return int(checked(where, value, "a whole number above 0", lambda n: whole and n > 0, f"Choose e.g. {where}=1."))


def temperature_of(where: str, value: object) -> float:
    """`value` when it can divide logits: finite and above 0.

    Raises:
        UserError: it cannot.
    """
    return checked(where, value, "a finite number above 0", lambda t: t > 0, f"Choose 2 to 10, e.g. {where}=2.")


def weight_of(where: str, value: object) -> float:
    """`value` when it can weigh a term or a part of one: finite, at least 0.

    Raises:
        UserError: it cannot.
    """
    return checked(where, value, "a finite number, at least 0", lambda w: w >= 0, f"Choose one, e.g. {where}=1.")
