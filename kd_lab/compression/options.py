"""Checks of what the steps that remove parts of a model have alike: their options, and the models they take."""

from __future__ import annotations

import math

from kd_lab.core.errors import UserError


def need_at_most(where: str, value: int, most: int, what: str) -> None:
    """Refuses to keep more than there is.

    Args:
        what: what is counted, e.g. "heads".

    Raises:
        UserError: `value` is above `most`.
    """
    if value > most:
        raise UserError(
            where,
            expected=f"at most {most}, the model's {what}",
            got=str(value),
            cure=f"Use e.g. {where}={max(1, most // 2)}.",
        )


def need_kind(step: str, kind: type, wanted: type, what: str, cure: str) -> None:
    """Refuses any classifier but those of class `wanted`, for the step called `step`.

    Args:
        what: the wanted class in words, e.g. "an encoder".

    Raises:
        UserError: `kind` is another class.
    """
    if not issubclass(kind, wanted):
        raise UserError(f"compression.{step}", expected=what, got=kind.__name__, cure=cure)


def count_of(keep: float, total: int) -> int:
    """How many of `total` are the share `keep`: the nearest whole number, at least 1."""
    return max(1, math.floor(keep * total + 0.5))
