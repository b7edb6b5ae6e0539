"""Finds which of a study's numbers stand against a published figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from kd_lab.core.errors import UserError
from kd_lab.core.nested import at, is_number
from kd_lab.core.option_roles import is_seed
from kd_lab.core.results import RunResult
from kd_lab.core.tables import one_line
from kd_lab.evaluation.intervals import POSITIVE, RATE, SIGNED, Bounds
from kd_lab.pipeline.summary_table import flat_options, method
from kd_lab.report.published.expected import TEACHER, Figure, Metric, Row
from kd_lab.report.published.row_error import combined, paired_error, row_error
from kd_lab.report.study import measures
from kd_lab.report.study.measures import timed_on
from kd_lab.report.study.runs import Run, by_shared_seeds, run
from kd_lab.report.study.settings import alike

_TIMED = ("cost.latency_ms", "cost.throughput_per_s", "cost.speedup")  # what a busy machine spoils
_BUSY = "other processes were busy while it was timed"
_MACHINES = "its times were taken on several machines"
_LOSSES = {"nll", "ece", "kl"}
_GAINS = {"throughput_per_s", "speedup"}  # of the costs, where more is better
_OF_TEACHER = {"teacher", "dataset"}  # parts of a config that make a teacher
_NO_PART = {"name", "experiments", "paths", "tracking", "search", "hydra"}


@dataclass(frozen=True)
class Measured:
    """Our numbers for one figure.

    Args:
        values: one a run, in the unit of the figure; of a teacher one a fit, of times one a measurement.
        why: why there is none to judge; empty where there is one.
        interval: what the result of the only run says of its test rows; None where it says nothing or is not the only.
        row_error: standard error that the rows leave in each; 0 where they have no part; None where not known.
        unknown: why the chance of these numbers is not known, so that they decide nothing; empty where it is.
    """

    values: Sequence[float]
    why: str = ""
    interval: tuple[float, float] | None = None
    row_error: float | None = 0.0
    unknown: str = ""


def measured(figure: Figure, cells: Sequence[RunResult], study: Path | None = None) -> Measured:
    """Our numbers for a figure.

    A number that is set against another row's takes that of the same seeds; against the teacher, that of the same cell,
    in whose process the two were timed by turns.

    Args:
        figure: the published one.
        cells: of the study.
        study: their folder, where their predictions lie; without it rows are taken to be right independently.

    Raises:
        UserError: a row means cells that differ in more than their seeds.
    """
    row, metric = Row.parse(figure.row), figure.metric
    if metric is None:
        return Measured([], "no number of ours stands against it")
    timed = metric.path.startswith(_TIMED)
    own, why = _by_run(row, cells, timed)
    pairs = [(cell, cell) for cell in own.values()]
    other = metric.other
    if other and other.is_teacher:
        pairs = [(cell, cell) for cell in own.values() if _label(other, cell) == other.label]
    elif other:
        others, why_not = _by_run(other, cells, timed)
        ours, theirs = by_shared_seeds([own, others])
        pairs, why = [(cell, theirs[seeds]) for seeds, cell in ours.items() if seeds in theirs], why or why_not
    if timed:  # seeds that compute the same share a measurement
        pairs = list({tuple(one.cost.get("timing") or one.cell for one in pair): pair for pair in pairs}.values())
    missing = f"no {metric.path} in its results" if pairs else "no cell of the row it is set against"
    valued = [(value, pair) for pair in pairs if (value := _value(row, metric, *pair)) is not None]
    found, pairs = [value for value, _ in valued], [pair for _, pair in valued]
    if not found:
        return Measured([], why or missing)
    if timed and any(one.cost.get("contended") for pair in pairs for one in pair):
        return Measured(found, _BUSY)
    if timed and len({timed_on(one) for pair in pairs for one in pair}) > 1:
        return Measured(found, _MACHINES)
    if timed and len(found) == 1:
        return Measured(found, "", None, None, "one measurement says nothing of what others would be")
    sole = at(_told_by(row, pairs[0][0]), f"{metric.path}_interval") if len(found) == 1 and not other else None
    error = _row_error(row, metric, pairs, study)
    unknown = "" if error is not None else "its result does not say what other rows would make of it"
    return Measured(found, "", (float(sole[0]), float(sole[1])) if sole else None, error, unknown)


def bounds(metric: Metric) -> Bounds | None:
    """Between which our number lies."""
    alone = measures.bounds(metric.path)
    if metric.sign == "/":
        return POSITIVE
    return alone if not metric.sign else SIGNED if alone == RATE else None


def higher_is_better(path: str) -> bool:
    """Whether more of a number is better: of what is right and of what is done in a time, not of costs and losses."""
    name = path.rpartition(".")[2]
    if path.startswith("cost."):
        return name in _GAINS
    return name not in _LOSSES


def of_row(row: Row, cells: Sequence[RunResult]) -> Sequence[RunResult]:
    """The cells that a row means, whatever became of them."""
    return [
        cell
        for cell in cells
        if _label(row, cell) == row.label
        and all(alike(_option(cell, key)) == alike(text) for key, text in row.options.items())
    ]


def _label(row: Row, cell: RunResult) -> str:
    if row.is_teacher:
        return f"{cell.teacher.get('model')} {TEACHER}"
    return f"{(cell.config.get('model') or {}).get('name')} {method(cell.config)}"


def _option(cell: RunResult, key: str) -> str:
    found = at(cell.config, key)
    return str(found).lower() if isinstance(found, bool) else str(found)


def _by_run(row: Row, cells: Sequence[RunResult], timed: bool) -> tuple[dict[Run, RunResult], str]:
    """(seeds -> finished cell, why there is none); a teacher's seeds are its own and its data's."""
    found: dict[Run, RunResult] = {}
    made: dict[Run, str] = {}
    there = of_row(row, cells)
    for cell in (one for one in there if one.status == "finished"):
        seeds = run(cell)
        if row.is_teacher:
            seeds = tuple(pair for pair in seeds if pair[0].partition(".")[0] in _OF_TEACHER)
        identity = str(cell.teacher.get("fingerprint") if row.is_teacher else cell.fingerprint.get("compressed"))
        first = next(iter(found.values()), cell)
        differ = _unlike(row, first, cell, timed)
        if differ or made.setdefault(seeds, identity) != identity:
            other = first if differ else found[seeds]
            words = f", in {differ}" if differ else " though their seeds and options are the same"
            example = f"{differ}={_option(cell, differ)}" if differ else "loss.temperature=2"
            raise UserError(
                f"row {row.label!r}",
                expected="cells that differ in their seeds alone",
                got=f"{other.cell} and {cell.cell}, which differ{words}",
                cure=f"Name an option in which they differ after the label, e.g. {example}.",
            )
        found.setdefault(seeds, cell)
    failed = [f"{cell.cell} {cell.status}: {one_line(cell.error)}" for cell in there]
    return found, "" if found else failed[0] if failed else "no cell of this row has run"


def _unlike(row: Row, one: RunResult, other: RunResult, timed: bool) -> str:
    """The first option, other than a seed, in which two cells of a row differ; empty where there is none."""
    options, other_options = (
        {
            key: value
            for key, value in flat_options(cell.config)
            if not is_seed(key)
            and (key.partition(".")[0] in _OF_TEACHER if row.is_teacher else key.partition(".")[0] not in _NO_PART)
            and (timed or not key.startswith("evaluation."))
        }
        for cell in (one, other)
    )
    return next((key for key in options if key in other_options and str(options[key]) != str(other_options[key])), "")


def _row_error(
    row: Row, metric: Metric, pairs: Sequence[tuple[RunResult, RunResult]], study: Path | None
) -> float | None:
    """Of the mean over runs, which share their rows: the root of the mean square over runs."""
    plain = not row.is_teacher and not (metric.other and metric.other.is_teacher)
    if study and plain and metric.sign == "-" and metric.path == measures.ACCURACY.path:
        error = paired_error(study, pairs)
        if error is not None:
            return error
    errors = []
    for one, other in pairs:
        own_error = row_error(_told_by(row, one), metric.path)
        if metric.other is not None:
            other_error = row_error(_told_by(metric.other, other), metric.path)
            if metric.sign == "/" and own_error and other_error:
                ours, base = _number(row, one, metric.path), _number(metric.other, other, metric.path)
                if not ours or not base:
                    return None
                own_error, other_error = own_error / base, other_error * ours / base**2  # the delta method
            own_error = combined(own_error, other_error)
        if own_error is None:
            return None
        errors.append(own_error)
    return math.sqrt(fmean(error**2 for error in errors))


def _value(row: Row, metric: Metric, cell: RunResult, other: RunResult) -> float | None:
    ours = _number(row, cell, metric.path)
    if metric.other is None or ours is None:
        return ours
    theirs = _number(metric.other, other, metric.path)
    if theirs is None or (metric.sign == "/" and theirs == 0):
        return None
    return ours / theirs if metric.sign == "/" else ours - theirs


def _number(row: Row, cell: RunResult, path: str) -> float | None:
    found = at(_told_by(row, cell), path)
    return float(found) if is_number(found) else None


def _told_by(row: Row, cell: RunResult) -> RunResult | Mapping[str, Any]:
    return cell.teacher if row.is_teacher else cell
