"""How each setting does on data sets that it was not fitted on: what `also_on` has judged, as one table."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING
from kd_lab.evaluation import intervals
from kd_lab.evaluation.balanced_accuracy import at_chance
from kd_lab.evaluation.cross_dataset import ALSO_ON, BY_NUMBER
from kd_lab.evaluation.intervals import RATE, Spread
from kd_lab.report.published.editions import data_options
from kd_lab.report.study.data_sets import data_sets
from kd_lab.report.study.settings import Setting

NOTE = "*: not known to be better than always answering one class"


@dataclass(frozen=True)
class Judgement:
    """One setting on one data set's test rows.

    Args:
        accuracy: over seeds; of one seed with the interval over its rows.
        at_chance: whether each seed's model is, see `balanced_accuracy.at_chance`.
        own: whether the setting was fitted on this data set.
        by_number: whether classes were matched by number, as their names are others.
    """

    accuracy: Spread
    at_chance: bool
    own: bool
    by_number: bool


@dataclass(frozen=True)
class CrossEvaluation:
    """Settings, each on all data sets.

    Args:
        data_sets: names, by first appearance.
        rows: a setting's label -> data set -> how it does there; a data set is missing where it was not asked for.
    """

    data_sets: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Judgement]]


def cross_evaluation(settings: Sequence[Setting]) -> CrossEvaluation | None:
    """The table of a study; None where no cell was judged on another data set."""
    judged = [one for one in settings if any(ALSO_ON in cell.metrics for cell in one.cells)]
    if not judged:
        return None
    blocks = data_sets(judged)
    fitted_on = {id(one): block.name for block in blocks for one in block.settings}
    known = {_rows_of(block.settings[0].cells[0].config.get("dataset") or {}): block.name for block in blocks}
    bear = {str((one.cells[0].config.get("dataset") or {}).get("name")) for one in judged}
    found = {id(one): [_by_name(cell, fitted_on[id(one)], known, bear) for cell in one.cells] for one in judged}
    others = [name for one in judged for told in found[id(one)] for name in told]
    names = tuple(dict.fromkeys([*(fitted_on[id(one)] for one in judged), *others]))
    rows: dict[str, dict[str, Judgement]] = {}
    for one in judged:
        row = {name: _judgement(found[id(one)], name, fitted_on[id(one)]) for name in names}
        rows[one.label] = {name: judgement for name, judgement in row.items() if judgement}
    return CrossEvaluation(names, rows)


def _by_name(
    cell: RunResult, own: str, known: Mapping[str, str], bear: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """Name of a data set -> what a cell's model comes to on it; another one that bears the name of one says so.

    Args:
        own: name of the cell's.
        known: `_rows_of` a data set that a model of the study was fitted on -> its name.
        bear: what these call themselves.
    """
    found: dict[str, Mapping[str, Any]] = {own: cell.metrics.get("test", {})}
    for name, metrics in cell.metrics.get(ALSO_ON, {}).items():
        config = (cell.config.get("also_on") or {}).get(name)
        other = f"{name} ({ALSO_ON})" if config and name in bear else name
        found.setdefault(known.get(_rows_of(config), other) if config else other, metrics)
    return found


def _rows_of(config: Mapping[str, Any]) -> str:
    """What of a data set's config says which rows are its test's."""
    places = {key: config.get(key) for key in ("path", "test_path")}
    told = {key: value for key, value in data_options(config).items() if key != "dataset.labelled"}
    return json.dumps(told | places, sort_keys=True, default=str)


def _judgement(found: Sequence[Mapping[str, Mapping[str, Any]]], name: str, own: str) -> Judgement | None:
    metrics = [told[name] for told in found if told.get(name, {}).get("accuracy") is not None]
    if not metrics:
        return None
    spread = intervals.over_seeds([one["accuracy"] for one in metrics], RATE)
    if len(metrics) == 1 and (rows := metrics[0].get("accuracy_interval")):
        spread = replace(spread, low=rows[0], high=rows[1])
    chance = all(at_chance(one) for one in metrics)
    return Judgement(spread, chance, name == own, metrics[0].get("classes_by") == BY_NUMBER)


def to_csv(found: CrossEvaluation) -> str:
    """A row for each setting and data set, rates as unrounded fractions."""
    return tables.to_csv(
        [
            {
                "setting": label,
                "judged_on": name,
                "own": one.own,
                "accuracy": one.accuracy.mean,
                "low": one.accuracy.low,
                "high": one.accuracy.high,
                "seeds": one.accuracy.n,
                "at_chance": one.at_chance,
                "classes_by_number": one.by_number,
            }
            for label, row in found.rows.items()
            for name, one in row.items()
        ]
    )


def to_markdown(found: CrossEvaluation) -> str:
    """The table as GitHub shows it, own data sets in bold; ends with a line break."""
    body = tables.to_markdown(("fitted as", *found.data_sets), _lines(found, "**{}**"), words=(0,))
    return f"{body}\n{tables.bullets(notes(found))}"


def to_rich(found: CrossEvaluation) -> Table:
    """The table for the terminal, `notes` under it."""
    title = "test accuracy on each data set (rows: fitted as)"
    caption = "\n".join(notes(found))
    return tables.to_rich(title, ["", *found.data_sets], _lines(found, "[{}]"), words=(0,), caption=caption)


def notes(found: CrossEvaluation) -> list[str]:
    """What the marks mean."""
    every = [one for row in found.rows.values() for one in row.values()]
    lines = ["accuracy in %; marked: the data set that the setting was fitted on"]
    lines += [NOTE] if any(one.at_chance for one in every) else []
    lines += ["classes of other names were matched by number"] if any(one.by_number for one in every) else []
    return lines


def words(one: Judgement) -> str:
    """Such as "71.4 ± 0.8" over seeds, "71.4 [70.1, 72.6]" over rows; with "*" at chance."""
    spread, star = one.accuracy, "*" if one.at_chance else ""
    if spread.n > 1:
        return f"{100 * spread.mean:.1f} ± {100 * (spread.sd or 0):.1f}{star}"
    known = spread.low is not None and spread.high is not None
    interval = f" [{100 * (spread.low or 0):.1f}, {100 * (spread.high or 0):.1f}]" if known else ""
    return f"{100 * spread.mean:.1f}{interval}{star}"


def _lines(found: CrossEvaluation, own: str) -> list[list[str]]:
    lines = []
    for label, row in found.rows.items():
        cells = [row.get(name) for name in found.data_sets]
        told = [MISSING if one is None else (own if one.own else "{}").format(words(one)) for one in cells]
        lines.append([label, *told])
    return lines
