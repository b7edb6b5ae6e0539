"""How a value that an option cannot have is refused: by the option's name, its kind and range, and a value to give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import describe, example, fits, split, typed
from kd_lab.core.signature import MISSING


def misfit(value: Any, kind: Any, where: str, default: Any = MISSING) -> UserError:
    """What is said of a value of another kind than an option has.

    Args:
        kind: see `option_types.fits`.
        where: the option as one types it.
        default: a value that is right, for the cure.
    """
    bare = split(kind)[0]
    cure = f"Use e.g. {where}={example(kind) if default is MISSING else typed(default)}, or leave it out."
    if bare is str and isinstance(value, int | float) and fits(typed(value), kind):
        cure = f"Quote it to mean a text: \"{where}='{typed(value)}'\"."
    elif bare is int and isinstance(value, float) and value.is_integer() and fits(int(value), kind):
        cure = f"Write {where}={int(value)}."
    return UserError(where, expected=describe(kind), got=short_repr(value), cure=cure)


def short_repr(value: Any) -> str:
    """A plain value for an error: short, and null for None."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(map(str, value))}}}" if value else "{}"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def check_fields(made: Any, where: str) -> None:
    """Refuses, where somebody makes a dataclass from Python, what its annotations do not allow, as a config is judged.

    Args:
        where: its place in a config, such as "compression.prune_l1".

    Raises:
        UserError: see `misfit`.
    """
    kinds = get_type_hints(type(made), include_extras=True)
    for one in fields(made):
        value, kind = getattr(made, one.name), kinds[one.name]
        if not fits(value, kind):
            usual = one.default if one.default is not None and fits(one.default, kind) else MISSING
            raise misfit(value, kind, f"{where}.{one.name}", usual)
