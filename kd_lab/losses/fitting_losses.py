"""Which losses of tokens could compare a student with a teacher, for the cure where another cannot."""

from __future__ import annotations

import math
from collections.abc import Callable

from kd_lab.core.types import ModelShape

RELATION_HEADS = 48  # of minilm_v2, unless told otherwise
_TAKES: dict[str, tuple[frozenset[str], Callable[[ModelShape, ModelShape], bool]]] = {  # fields, and what must be alike
    "tinybert": (
        frozenset({"all_hidden", "all_attention"}),
        lambda one, other: one.heads == other.heads and one.layers <= other.layers,
    ),
    "minilm": (frozenset({"attention", "values"}), lambda one, other: one.heads == other.heads),
    "minilm_v2": (
        frozenset({"queries", "keys", "values"}),
        lambda one, other: math.gcd(one.width, other.width) % RELATION_HEADS == 0,
    ),
}


def other_loss(student: ModelShape, teacher: ModelShape) -> str:
    """A cure: losses that take these two as they are, `hybrid` the last."""
    both = student.gives & teacher.gives
    found = [name for name, (fields, alike) in _TAKES.items() if fields <= both and alike(student, teacher)]
    named = [f"loss={name}" for name in [*found, "hybrid"]]
    return f"Choose {' or '.join([', '.join(named[:-1]), named[-1]] if found else named)}."
