"""Everything a study says, made from its cells alone: tables, figures and a verdict under multirun/<name>/report/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kd_lab.core.cache import fingerprint
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import disk_errors
from kd_lab.core.results import RunResult
from kd_lab.report.study import class_report, cross_evaluation, documents, settings_table
from kd_lab.report.study.accuracy import spread
from kd_lab.report.study.answers import predictions_by_run
from kd_lab.report.study.class_report import ClassReport, class_reports
from kd_lab.report.study.collect import study
from kd_lab.report.study.cross_evaluation import CrossEvaluation
from kd_lab.report.study.data_sets import data_sets, file_suffixes
from kd_lab.report.study.gain import Gain, gains
from kd_lab.report.study.settings import Setting
from kd_lab.report.study.settings import settings as grouped
from kd_lab.report.study.verdict import Verdict, verdicts

FOLDER = "report"
FIGURES = ".figures.json"  # what the figures beside it were made from


@dataclass(frozen=True)
class StudyReport:
    """A study's report.

    Args:
        cells: all of them, by model and cell.
        settings: what they are when seeds are taken together.
        verdicts: one a data set.
        gains: what distillation is worth, of each student that the study has distilled and with labels alone.
        files: name -> path of everything written.
        metrics: for the tracking store: best/accuracy, best/low and best/high (test; interval over seeds, or over rows
            for one seed), cells/finished, cells/failed, cells/pruned, settings/tried, settings/indistinguishable. Those
            of the best are there where there is one data set.
        best: label of the setting chosen on validation; None where there is none, or one for each of several data sets.
        classes: of each data set's best cell, or of the one that was asked for.
    """

    cells: Sequence[RunResult]
    settings: Sequence[Setting]
    verdicts: Sequence[Verdict]
    gains: Sequence[Gain]
    files: Mapping[str, Path]
    metrics: Mapping[str, float]
    best: str | None
    classes: Sequence[ClassReport] = ()
    cross: CrossEvaluation | None = None

    @property
    def verdict(self) -> str:
        """The verdicts and the gains in words, a line each."""
        return "\n".join([*(one.text for one in self.verdicts), *(one.text for one in self.gains)])


def write(multirun: Path, name: str, *, figures: bool = True, classes: str | None = None) -> StudyReport:
    """Makes the report and writes its files.

    Args:
        multirun: where studies lie.
        name: the study.
        figures: whether to draw.
        classes: the cell of which a report a class is made; None for each data set's best.

    Raises:
        UserError: there is no such study or cell, a file of it is damaged, or there is no room to write.
    """
    cells = study(multirun, name)
    settings = grouped(cells)
    alone = sum(bool(setting.cells) for setting in settings) < 2
    predictions = [{} if alone else predictions_by_run(multirun / name, setting) for setting in settings]
    found, worth = verdicts(settings, predictions), gains(settings, predictions)
    by_class = class_reports(multirun / name, settings, classes)
    folder = multirun / name / FOLDER
    texts = {
        "table.md": settings_table.to_markdown(settings, found, settings_table.notes(cells, settings), worth),
        "table.tex": documents.latex(settings, found),
        "table.csv": documents.settings_csv(settings, found),
        "cells.csv": documents.cells_csv(cells, settings),
    }
    if by_class:
        texts |= {"classes.md": class_report.to_markdown(by_class), "classes.csv": class_report.to_csv(by_class)}
    if crossed := cross_evaluation.cross_evaluation(settings):
        texts |= {"cross.md": cross_evaluation.to_markdown(crossed), "cross.csv": cross_evaluation.to_csv(crossed)}
    files = {path.name: path for path in documents.write_texts(folder, texts)}
    best = found[0].best.label if len(found) == 1 and found[0].best else None
    report = StudyReport(cells, settings, found, worth, files, _metrics(cells, found), best, by_class, crossed)
    if not figures:
        return report
    with disk_errors(folder):
        drawn = _draw(report, folder, [texts["cells.csv"], texts.get("cross.csv"), [one.cell for one in by_class]])
    return replace(report, files={**files, **{path.name: path for path in drawn}})


def _draw(report: StudyReport, folder: Path, shown: object) -> list[Path]:
    """The figures, of each data set apart.

    Those that show the same cells already are left as they are: a thousand settings take seconds.
    """
    made = {"cells": fingerprint(shown), "code": code_hash("kd_lab.report.study.study_report")}
    note = folder / FIGURES
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
        paths = [folder / name for name in known["files"]]
        if known["made"] == made and all(path.is_file() for path in paths):
            return paths
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or none to be trusted
    from kd_lab.report.figures import class_f1, gain, heatmap, parallel, pareto
    from kd_lab.report.figures import cross_evaluation as cross

    blocks, alone = data_sets(report.settings), sum(bool(setting.cells) for setting in report.settings) < 2
    ends, drawn = file_suffixes([block.name for block in blocks]), cross.draw(report.cross, folder / "cross")
    for block in blocks:
        end, whole = ends[block.name], list(block.settings)
        of = f" on {block.name}" if len(blocks) > 1 else ""
        reports = [one for one in report.classes if one.data_set == block.name]
        drawn += class_f1.draw(next(iter(reports), None), folder / f"classes{end}", of)
        if alone:
            continue
        drawn += gain.draw([one for one in report.gains if one.data_set == block.name], folder / f"gain{end}", of)
        drawn += heatmap.draw(whole, folder / f"heatmap{end}", of)
        drawn += parallel.draw(whole, folder / f"parallel{end}", of)
        drawn += pareto.draw(whole, folder / f"pareto{end}", of)
    note.write_text(json.dumps({"made": made, "files": [path.name for path in drawn]}), encoding="utf-8")
    return drawn


def _metrics(cells: Sequence[RunResult], found: Sequence[Verdict]) -> dict[str, float]:
    states = [cell.status for cell in cells]
    metrics: dict[str, float] = {f"cells/{state}": states.count(state) for state in ("finished", "failed", "pruned")}
    metrics["settings/tried"] = sum(verdict.tried for verdict in found)
    others = [other for verdict in found for other in verdict.others if other.comparison is not None]
    metrics["settings/indistinguishable"] = sum(other.sign == 0 for other in others)
    if len(found) == 1 and found[0].best is not None and (accuracy := spread(found[0].best)) is not None:
        told = {"accuracy": accuracy.mean, "low": accuracy.low, "high": accuracy.high}
        metrics |= {f"best/{name}": value for name, value in told.items() if value is not None}
    return metrics
