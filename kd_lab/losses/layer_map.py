"""Which of the teacher's layers each of the student's is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kd_lab.core.errors import UserError

Which = Literal["every", "last"]


def teacher_layers(student: int, teacher: int, which: Which) -> Sequence[int]:
    """The teacher's layer for each of the student's 1 to `student`, all counted from 1.

    Args:
        student, teacher: how many layers each has; the teacher at least as many.
        which: "every" spreads them evenly, the last for the last (2, 4, 6 of 6 for 3); "last" takes the last ones
            (4, 5, 6).
    """
    if which == "last":
        return range(teacher - student + 1, teacher + 1)
    return [round(layer * teacher / student) for layer in range(1, student + 1)]


def check_which(where: str, which: str) -> Which:
    """The option `layers`.

    Raises:
        UserError: it is none of the two.
    """
    if which not in ("every", "last"):
        raise UserError(where, expected="every or last", got=repr(which), cure=f"Choose {where}=every.")
    return which  # type: ignore[return-value]
