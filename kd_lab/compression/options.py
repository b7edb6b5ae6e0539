"""Checks of what the steps that remove parts of a model have alike: their options, and the models they take."""

from __future__ import annotations

import math

from kd_lab.core.errors import UserError
from kd_lab.core.nested import is_number


def need_share(where: str, value: object) -> None:
    """Refuses what is no share of parts to keep.

    Raises:
        UserError: it is not a number above 0 and up to 1.
    """
    if not is_number(value) or not 0 < value <= 1:
        raise UserError(
            where, expected="a share above 0, up to 1", got=repr(value), cure=f"Use e.g. {where}=0.5 to keep half."
        )


def need_count(where: str, value: object, least: int = 1) -> None:
    """Refuses what is no whole number of at least `least`.

    Raises:
        UserError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(
            where,
            expected=f"a whole number, at least {least}",
            got=repr(value),
            cure=f"Use e.g. {where}={max(least, 2)}.",
        )


def need_training(step: str, epochs: object, rate: object) -> None:
    """Refuses what cannot say how long and how fast to train on after the step called `step`.

    Raises:
        UserError: epochs is no whole number from 0, or rate no number above 0.
    """
    need_count(f"compression.{step}.epochs", epochs, 0)
    where = f"compression.{step}.rate"
    if not is_number(rate) or not 0 < rate < math.inf:
        raise UserError(
            where,
            expected="a share of the fit's learning rates, above 0",
            got=repr(rate),
            cure=f"Use e.g. {where}=0.3; without training, compression.{step}.epochs=0.",
        )


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
