"""The numbers of a setting that figures show: where they stand in a result, their names and units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING
from kd_lab.evaluation import intervals
from kd_lab.evaluation.balanced_accuracy import at_chance
from kd_lab.evaluation.intervals import POSITIVE, RATE, SIGNED, Bounds
from kd_lab.report.study.runs import split
from kd_lab.report.study.settings import Setting, alike


@dataclass(frozen=True)
class Measure:
    """A number of a result."""

    name: str
    unit: str
    path: str  # dotted, into a RunResult
    scale: float = 1.0  # from what is stored to `unit`


ACCURACY = Measure("test accuracy", "%", "metrics.test.accuracy", 100)
VALIDATION = Measure("validation accuracy", "%", "metrics.validation.accuracy", 100)
AGREEMENT = Measure("agreement with teacher", "%", "fidelity.agreement", 100)
SIZE = Measure("size", "MiB", "cost.size_mib")
LATENCY = Measure("latency p50", "ms", "cost.latency_ms.p50")


def mean(setting: Setting, measure: Measure) -> float | None:
    """Mean over seeds, in the measure's unit; None where no finished cell has it."""
    found = setting.over_seeds(measure.path)
    return measure.scale * fmean(found) if found else None


def best(settings: Sequence[Setting]) -> Setting | None:
    """The `highest`; None where that is at chance: what always answers one class is no better than another."""
    found = highest(settings)
    return None if found is None or is_at_chance(found) else found


def is_at_chance(setting: Setting) -> bool:
    """Whether each of its finished cells is at chance on validation, see `at_chance`; results may not tell."""
    return bool(setting.cells) and all(at_chance(cell.metrics.get("validation") or {}) for cell in setting.cells)


def highest(settings: Sequence[Setting]) -> Setting | None:
    """The setting of highest mean validation accuracy, the first of equals: what one would pick without the test.

    Settings are held against each other on the splits that all of them have: one that ran on an easy split alone would
    win on it. None where they have none in common.

    Args:
        settings: of one data set.
    """
    known = [setting for setting in settings if setting.over_seeds(VALIDATION.path)]
    had = [{split(run) for run, cell in one.by_run.items() if _is_known(cell)} for one in known]
    common = set.intersection(*had) if had else set()
    scores = [
        fmean(at(cell, VALIDATION.path) for run, cell in one.by_run.items() if split(run) in common and _is_known(cell))
        for one in known
        if common
    ]
    return known[scores.index(max(scores))] if scores else None


def _is_known(cell: RunResult) -> bool:
    return at(cell, VALIDATION.path) is not None


def smallest_split(settings: Sequence[Setting]) -> int | None:
    """Rows of the smallest test split among the finished cells; None where no cell tells."""
    return min(_rows(settings), default=None)


def _rows(settings: Sequence[Setting]) -> set[int]:
    told = (cell.metrics.get("test", {}).get("rows") for setting in settings for cell in setting.cells)
    return {int(rows) for rows in told if rows}


def half_width(accuracy: float, rows: int) -> float:
    """Half of Wilson's 95 % interval of an accuracy, percent, measured on so many rows; in points."""
    low, high = intervals.wilson(round(accuracy / 100 * rows), rows)
    return 100 * (high - low) / 2


def noise(settings: Sequence[Setting]) -> list[str]:
    """A sentence for captions: how far the highest mean test accuracy may lie from the true one, given the rows."""
    rows = smallest_split(settings)
    known = [score for setting in settings if (score := mean(setting, ACCURACY)) is not None]
    if rows is None or not known:
        return []
    top = max(known)
    half = half_width(top, rows)
    split = "Test split" if len(_rows(settings)) == 1 else "Smallest test split"
    return [f"{split} of {rows:,} rows: an accuracy of {top:.1f} % is known to ± {half:.1f} points (95 %, one seed)."]


def bounds(path: str) -> Bounds | None:
    """Between which a number of a result lies, by where it stands; None where that is not known.

    Args:
        path: dotted, such as "metrics.test.accuracy" or "cost.latency_ms.p50".
    """
    part, _, rest = path.partition(".")
    name = rest.rpartition(".")[2]
    if part in ("cost", "durations_s") or name in ("nll", "kl", "rows", "classes", "class_ratio"):
        return POSITIVE
    if part in ("metrics", "fidelity"):
        return SIGNED if name == "mcc" else RATE
    return None


def timing(settings: Sequence[Setting]) -> list[str]:
    """Sentences for captions and notes: whose times are not to be trusted, and which were taken on other machines."""
    cells = [cell for setting in settings for cell in setting.cells if at(cell, LATENCY.path) is not None]
    busy = sum(bool(cell.cost.get("contended")) for cell in cells)
    sentences = [f"Other processes were busy while {busy} of {len(cells)} cells were timed."] if busy else []
    machines = dict.fromkeys(machine for cell in cells if (machine := timed_on(cell)))
    if len(machines) > 1:
        sentences.append(f"Times were taken on {len(machines)} machines and cannot be compared: {'; '.join(machines)}.")
    return sentences


def timed_on(cell: RunResult) -> str:
    """Where a cell was timed, in words; empty where its result does not say."""
    known = cell.machine
    return f"{known.get('processor')}, {known.get('threads')} threads" if known else ""


def number(text: str) -> float | None:
    """A finite number written as text, or None."""
    found = alike(text)
    return found if isinstance(found, float) else None


def values(settings: Sequence[Setting], axis: str) -> list[str]:
    """The values of an axis: by size where they are `numeric`, `MISSING` first, else in order of first appearance."""
    found = list(dict.fromkeys(setting.values[axis] for setting in settings))
    if numeric(found):
        found.sort(key=lambda text: number(text) or 0.0 if text != MISSING else -math.inf)
    return found


def numeric(found: Sequence[str]) -> bool:
    """Whether all values are finite numbers, apart from settings to which the axis does not apply."""
    return all(number(text) is not None for text in found if text != MISSING)
