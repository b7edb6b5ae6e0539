"""What a threshold of `kd-lab predict --abstain` gave on validation, in a line; from what runs have kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kd_lab.core import results
from kd_lab.evaluation.predictions import TEST, read_validation
from kd_lab.evaluation.selective import Judged, rates
from kd_lab.serving.cascade import OperatingPoint, at_or_below, operating_points_of

_TEACHER = "its teacher"


def measured_on_validation(model: Path, threshold: float, second: Path | None = None) -> str | None:
    """What a threshold gave on validation; None where that is not known.

    Args:
        model: folder of the model that may abstain. Within its cell it is judged at this very threshold; elsewhere at
            the last one below of which its card tells.
        threshold: of its confidence.
        second: folder of the model that is asked then; judged where it lies in a cell of the same rows.
    """
    told = operating_points_of(model)
    teacher = next((row.cascade for row in told if row.threshold == threshold), None)
    if (own := _kept(model)) is not None:
        theirs = _kept(second) if second else None
        same = theirs is not None and theirs[0] == own[0] and np.array_equal(theirs[1].labels, own[1].labels)
        row = rates(own[1], threshold, theirs[1].predictions if theirs and same else None)
        alone = rates(own[1], 0.0).accuracy
        asked = "the model that is asked" if row.cascade is not None else _TEACHER
        return _line(row if row.cascade is not None else row._replace(cascade=teacher), alone, asked)
    if (found := at_or_below(told, threshold)) is None:
        return None
    alone = next((row.accuracy for row in told if not row.threshold), None)
    return _line(found, alone, _TEACHER)


def _kept(model: Path) -> tuple[str, Judged] | None:
    """Names the rows of test, which tell one split from another, and what was said of validation."""
    cell = model.resolve().parent
    result = results.peek(cell) if model.name == "model" and (cell / results.FILE).is_file() else None
    said = read_validation(cell) if result is not None and result.status == "finished" else None
    return None if result is None or said is None else (result.fingerprint.get(TEST, ""), said)


def _line(row: OperatingPoint, alone: float | None, asked: str) -> str:
    kept = f"on validation at {row.threshold:g}: keeps {_percent(row.coverage)} of rows"
    right = "" if row.accuracy is None else f", {_percent(row.accuracy)} of them right"
    every = "" if alone is None else f"; alone it has {_percent(alone)} of all rows right"
    both = "" if row.cascade is None else f", with {asked} for the rest {_percent(row.cascade)}"
    return kept + right + every + both


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"
