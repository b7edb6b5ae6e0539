"""Finds which of a study's numbers stand against a published figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kd_lab.errors import UserError
from kd_lab.report.expected import TEACHER, Figure, Metric, Row
from kd_lab.report.settings import at, seed
from kd_lab.results import RunResult
from kd_lab.table import method

_TIMED = ("cost.latency_ms", "cost.throughput_per_s", "cost.speedup")  # what a busy machine spoils
_BUSY = "other processes were busy while it was timed"


@dataclass(frozen=True)
class Measured:
    """Our numbers for one figure.

    Args:
        values: one a seed, in the unit of the figure; of a teacher one a fit, of times one a measurement.
        why: why there is none to judge; empty where there is one.
        interval: what the result of the only seed says of its test rows; None where it says nothing or is not the only.
    """

    values: Sequence[float]
    why: str = ""
    interval: tuple[float, float] | None = None


def measured(figure: Figure, cells: Sequence[RunResult]) -> Measured:
    """Our numbers for a figure.

    A number that is set against another row's takes that of the same seed; against the teacher, that of the same cell,
    in whose process the two were timed by turns.

    Raises:
        UserError: a row means cells that differ in more than their seed.
    """
    row, metric = Row.parse(figure.row), figure.metric
    if metric is None:
        return Measured([], "no number of ours stands against it")
    own, why = _by_seed(row, cells)
    pairs = [(cell, cell) for cell in own.values()]
    other = metric.other
    if other and other.is_teacher:
        pairs = [(cell, cell) for cell in own.values() if _label(other, cell) == other.label]
    elif other:
        others, why_not = _by_seed(other, cells)
        pairs, why = [(cell, others[number]) for number, cell in own.items() if number in others], why or why_not
    if metric.path.startswith(_TIMED):  # seeds that compute the same share a measurement
        pairs = list({tuple(one.cost.get("timing") or one.cell for one in pair): pair for pair in pairs}.values())
    found = [value for pair in pairs if (value := _value(row, metric, *pair)) is not None]
    if not found:
        missing = f"no {metric.path} in its results" if pairs else "no cell of the row it is set against"
        return Measured([], why or missing)
    busy = any(one.cost.get("contended") for pair in pairs for one in pair)
    if busy and metric.path.startswith(_TIMED):
        return Measured(found, _BUSY)
    sole = _at(row, pairs[0][0], f"{metric.path}_interval") if len(found) == 1 and not other else None
    return Measured(found, "", (float(sole[0]), float(sole[1])) if sole else None)


def of_row(row: Row, cells: Sequence[RunResult]) -> Sequence[RunResult]:
    """The cells that a row means, whatever became of them."""
    return [
        cell
        for cell in cells
        if _label(row, cell) == row.label and all(_option(cell, key) == text for key, text in row.options.items())
    ]


def _label(row: Row, cell: RunResult) -> str:
    if row.is_teacher:
        return f"{cell.teacher.get('model')} {TEACHER}"
    return f"{(cell.config.get('model') or {}).get('name')} {method(cell.config)}"


def _option(cell: RunResult, key: str) -> str:
    found = _follow(cell.config, key)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _by_seed(row: Row, cells: Sequence[RunResult]) -> tuple[dict[int, RunResult], str]:
    """(seed of the fit -> finished cell, why there is none)."""
    found: dict[int, RunResult] = {}
    made: dict[int, str] = {}
    there = of_row(row, cells)
    for cell in there:
        if cell.status != "finished":
            continue
        teacher = cell.config.get("teacher") or {}
        number = int(teacher.get("seed") or 0) if row.is_teacher else seed(cell)
        identity = str(cell.teacher.get("fingerprint") if row.is_teacher else cell.fingerprint.get("compressed"))
        if made.setdefault(number, identity) != identity:
            raise UserError(
                f"row {row.label!r}",
                expected="cells that differ in their seed alone",
                got=f"two of seed {number} that differ: {found[number].cell} and {cell.cell}",
                cure="Name an option in which they differ after the label, e.g. loss.temperature=2.",
            )
        found.setdefault(number, cell)
    failed = [f"{cell.cell} {cell.status}: {' '.join(str(cell.error).split())}" for cell in there]
    return found, "" if found else failed[0] if failed else "no cell of this row has run"


def _at(row: Row, cell: RunResult, path: str) -> Any:
    return _follow(cell.teacher, path) if row.is_teacher else at(cell, path)


def _value(row: Row, metric: Metric, cell: RunResult, other: RunResult) -> float | None:
    ours = _number(_at(row, cell, metric.path))
    if metric.other is None or ours is None:
        return ours
    theirs = _number(_at(metric.other, other, metric.path))
    if theirs is None or (metric.sign == "/" and theirs == 0):
        return None
    return ours / theirs if metric.sign == "/" else ours - theirs


def _number(found: Any) -> float | None:
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _follow(tree: Any, path: str) -> Any:
    """What stands at a dotted path, or None."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree
