"""How far a number of a result may lie from the true one because it was judged on these rows and not on others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.evaluation.counting import CONFIDENCE
from kd_lab.report.study import answers

_LIKE = {"f1_weighted": "f1_macro"}  # has no interval of its own: taken to vary as that one, which varies more
_HALF = 1.959964  # half width of a 95 % interval in standard errors
assert CONFIDENCE == 0.95


def row_error(about: Any, path: str) -> float | None:
    """Standard error of the number at a path, off the 95 % interval that stands beside it.

    Args:
        about: a result, or what it says of its teacher.
        path: dotted, such as "metrics.test.accuracy".

    Returns:
        in the unit of the number; 0 of costs, in which rows have no part; None where the result does not tell.
    """
    if path.startswith("cost."):
        return 0.0
    start, _, name = path.rpartition(".")
    interval = at(about, f"{start}.{_LIKE.get(name, name)}_interval")
    if interval:
        return float(interval[1] - interval[0]) / (2 * _HALF)
    rate, rows = at(about, path), at(about, "metrics.test.rows")
    if path != "fidelity.agreement" or rate is None or not rows:
        return None
    rate = (rate * rows + 2) / (rows + 4)  # Agresti and Coull, The American Statistician 52, 1998
    return math.sqrt(rate * (1 - rate) / (rows + 4))


def paired_error(study: Path, pairs: Sequence[tuple[RunResult, RunResult]]) -> float | None:
    """Standard error by rows of a difference of test accuracies, from what both models said about each row.

    Args:
        study: the folder of the cells.
        pairs: cells set against each other, a pair a run.

    Returns:
        as a fraction; None where a cell kept no predictions, or the two are to other rows.
    """
    gains = []
    for one, other in pairs:
        ours, theirs = answers.read_predictions(study, one), answers.read_predictions(study, other)
        if ours is None or theirs is None or not ours.same_rows(theirs):
            return None
        gains.append((ours.predictions == ours.labels).astype(float) - (theirs.predictions == theirs.labels))
    if len({len(one) for one in gains}) != 1 or len(gains[0]) < 2:
        return None
    return float(np.sqrt(np.mean(gains, axis=0).var(ddof=1) / len(gains[0])))


def combined(ours: float | None, theirs: float | None) -> float | None:
    """Standard error of a difference of two numbers; too large where both are judged on the same rows."""
    return None if ours is None or theirs is None else math.hypot(ours, theirs)
