"""A report a class: how well a model does on each class of test and validation, the worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.errors import UserError
from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING, one_line
from kd_lab.data.dataset import MULTI_LABEL
from kd_lab.evaluation.per_class import ClassFigures, per_class, per_label
from kd_lab.evaluation.predictions import read_sets, read_validation
from kd_lab.models.saved_model import read_card
from kd_lab.pipeline.run_folder import MODEL
from kd_lab.report.study import measures
from kd_lab.report.study.answers import read_predictions
from kd_lab.report.study.data_sets import data_sets
from kd_lab.report.study.labels import labels
from kd_lab.report.study.settings import Setting

TEST, VALIDATION = "test", "validation"
SHOWN = 10  # classes on a screen
_HEAD = ("class", "rows", "recall", "precision", "F1", "most often taken for")


@dataclass(frozen=True)
class ClassReport:
    """What one cell's model does on each class.

    Args:
        data_set: its name.
        cell: the cell's, which is its folder's.
        label: what a person calls the cell.
        why: it is this cell, in words.
        names: of the classes, by number; empty where the cell's model is no longer there.
        splits: test and, where a cell kept its answers, validation -> its classes, of the lowest F1 first.
    """

    data_set: str
    cell: str
    label: str
    why: str
    names: Sequence[str]
    splits: Mapping[str, Sequence[ClassFigures]]

    def name(self, number: int) -> str:
        """Of a class, on one line; its number where the name is not known."""
        return one_line(self.names[number]) if number < len(self.names) else str(number)


def class_reports(study: Path, settings: Sequence[Setting], chosen: str | None = None) -> list[ClassReport]:
    """A report of each data set's best cell by validation accuracy, as `kd-lab export` chooses, or of the chosen cell.

    Args:
        study: its folder.
        settings: of the study.
        chosen: a cell's name.

    Raises:
        UserError: there is no such cell that finished and kept its answers, or a file of it is damaged.
    """
    finished = [cell for setting in settings for cell in setting.cells]
    found, called = [], labels(finished) if finished else {}
    for block in data_sets([setting for setting in settings if setting.cells]):
        cells = [cell for setting in block.settings for cell in setting.cells]
        why = "the best by validation accuracy"
        if chosen is not None:
            cells, why = [cell for cell in cells if cell.cell == chosen], "as asked for"
        ranked = sorted(cells, key=_rank)
        reports = (_report(study, block.name, cell, called[cell.cell], why) for cell in ranked[:1])
        found += [one for one in reports if one is not None]
    if chosen is not None and not found:
        there = [cell.cell for cell in finished]
        cure = f"Name one, e.g. --classes '{there[0]}'." if there else "Run the study first."
        raise UserError(f"cell {chosen!r}", expected="one that finished and kept its answers", got="none", cure=cure)
    return found


def to_csv(reports: Sequence[ClassReport]) -> str:
    """A row for each class of each split, rates as unrounded fractions; empty where there is no report."""
    found: list[dict[str, Any]] = []
    for one in reports:
        for split, classes in one.splits.items():
            for figures in classes:
                low, high = figures.recall_interval or (None, None)
                wrong, times = figures.taken_for or (None, None)
                found.append(
                    {
                        "data_set": one.data_set,
                        "cell": one.cell,
                        "split": split,
                        "class": one.name(figures.number),
                        "support": figures.support,
                        "predicted": figures.predicted,
                        "precision": figures.precision,
                        "recall": figures.recall,
                        "recall_low": low,
                        "recall_high": high,
                        "f1": figures.f1,
                        "taken_for": None if wrong is None else one.name(wrong),
                        "times": times,
                    }
                )
    return tables.to_csv(found)


def to_markdown(reports: Sequence[ClassReport], most: int | None = None) -> str:
    """The tables as GitHub shows them, test before validation; ends with a line break.

    Args:
        most: classes of a table, the worst; None for all.
    """
    parts = []
    for one in reports:
        for split, classes in one.splits.items():
            head = f"### {split}: {_title(one)}"
            body = tables.to_markdown(_HEAD, _lines(one, classes[:most]), words=(0, len(_HEAD) - 1))
            parts.append(f"{head}\n\n{body}\n{summary(one, split, most)}. Cell: {one.cell}\n")
    return "\n".join(parts)


def to_rich(report: ClassReport, most: int = SHOWN) -> Table:
    """The worst classes of test for the terminal, `summary` under them."""
    lines = _lines(report, report.splits[TEST][:most])
    caption = summary(report, TEST, most)
    return tables.to_rich(_title(report), list(_HEAD), lines, words=(0, len(_HEAD) - 1), caption=caption)


def summary(report: ClassReport, split: str, most: int | None = None) -> str:
    """How many classes there are, how many of them are shown, and how even their F1 is."""
    classes = report.splits[split]
    scores = [one.f1 for one in classes]
    shown = f"the {most} worst of {len(classes)} classes" if most and most < len(classes) else f"{len(classes)} classes"
    middle = f"median {_percent(median(scores))}, " if len(scores) > 2 else ""
    never = sum(one.predicted == 0 for one in classes)
    silent = f"; {never} never answered" if never else ""
    told = f"F1 {_percent(scores[0])} to {_percent(scores[-1])}, {middle}recall with its 95 % interval"
    return f"{shown} of {split}: {told}{silent}"


def _report(study: Path, data_set: str, cell: RunResult, label: str, why: str) -> ClassReport | None:
    said = read_predictions(study, cell)
    if said is None or not len(said.labels):
        return None
    if (sets := read_sets(study / cell.cell)) is not None:
        splits = {TEST: _ranked(per_label(sets))}
    elif cell.config.get("task") == MULTI_LABEL:  # kept rows have no sets
        return None
    else:
        splits = {TEST: _ranked(per_class(said.labels, said.predictions))}
        if (other := read_validation(study / cell.cell)) is not None:
            splits[VALIDATION] = _ranked(per_class(other.labels, other.predictions))
    return ClassReport(data_set, cell.cell, label, why, _names(study / cell.cell / MODEL), splits)


def _rank(cell: RunResult) -> tuple[float, float, str]:
    """The highest validation accuracy first; of several as good the smallest on disk."""
    return -(at(cell, measures.VALIDATION.path) or 0.0), cell.cost.get("size_mib", math.inf), cell.cell


def _names(model: Path) -> Sequence[str]:
    try:
        names = read_card(model).get("labels")
    except UserError:  # a user may have removed it for its size
        return ()
    return [str(name) for name in names] if isinstance(names, list) else ()


def _ranked(classes: Sequence[ClassFigures]) -> list[ClassFigures]:
    """The lowest F1 first, of equals the class with more rows."""
    return sorted(classes, key=lambda one: (one.f1, -one.support, one.number))


def _title(report: ClassReport) -> str:
    return f"{report.data_set}, classes by F1: {report.label} ({report.why})"


def _lines(report: ClassReport, classes: Sequence[ClassFigures]) -> list[list[str]]:
    found = []
    for one in classes:
        low, high = one.recall_interval or (0.0, 0.0)
        recall = MISSING if one.recall is None else f"{_percent(one.recall)} [{100 * low:.1f}, {100 * high:.1f}]"
        wrong = MISSING if one.taken_for is None else f"{report.name(one.taken_for[0])} ({one.taken_for[1]})"
        precision = MISSING if one.precision is None else _percent(one.precision)
        found.append([report.name(one.number), f"{one.support:,}", recall, precision, _percent(one.f1), wrong])
    return found


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"
