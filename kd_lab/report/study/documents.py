"""A study's numbers for a paper: a LaTeX table, and CSV files in which nothing is rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_lab.core import nested
from kd_lab.core.errors import disk_errors
from kd_lab.core.results import RunResult
from kd_lab.core.tables import to_csv
from kd_lab.evaluation.intervals import over_seeds
from kd_lab.report.study import measures
from kd_lab.report.study.accuracy import by_rows, spread
from kd_lab.report.study.data_sets import data_sets
from kd_lab.report.study.runs import run
from kd_lab.report.study.settings import Setting
from kd_lab.report.study.settings_table import rows
from kd_lab.report.study.verdict import Verdict

_PARTS = ("metrics", "fidelity", "cost", "durations_s")  # of a result, that hold numbers
_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # a row that begins with a bracket would be the \\[...] of the row before
    "]": "{]}",
    "<": r"\ensuremath{<}",
    ">": r"\ensuremath{>}",
    "±": r"\ensuremath{\pm}",
}


def latex(settings: Sequence[Setting], verdicts: Sequence[Verdict]) -> str:
    r"""The settings' table as a `tabular` with booktabs' rules; \input it where \usepackage{booktabs} is in force.

    There is one a data set.
    """
    blocks, parts = data_sets(settings), [f"% {one.text}\n" for one in verdicts]
    for block in blocks:
        parts += [f"% {block.name}\n"] if len(blocks) > 1 else []
        parts.append(_latex(block.settings, verdicts))
    return "".join(parts)


def _latex(settings: Sequence[Setting], verdicts: Sequence[Verdict]) -> str:
    body = rows(settings, verdicts)
    header = list(body[0]) if body else ["setting"]
    words = max(1, len(settings[0].values)) if settings else 1
    columns = "l" * words + "r" * (len(header) - words)
    lines = "\n".join([_row(header), "\\midrule", *(_row(list(row.values())) for row in body)])
    return f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{lines}\n\\bottomrule\n\\end{{tabular}}\n"


def settings_csv(settings: Sequence[Setting], verdicts: Sequence[Verdict]) -> str:
    """One row a setting, numbers in their own units (rates are fractions) and unrounded; empty where there is none.

    Columns: `data_set` where there are several; the axes; `seeds`, `failed`; test accuracy with `interval` ("seeds" or
    "rows": over what low and high speak); `against_best.*`, the comparison with the best (best less this setting), `p`
    bare and `p_corrected`; then mean, sd (n - 1), low, high and n over runs of every number in the results.
    """
    held = {id(other.setting): other for verdict in verdicts for other in verdict.others}
    best = {id(verdict.best) for verdict in verdicts if verdict.tried > 1}
    blocks, found = data_sets(settings), []
    named = {id(setting): block.name for block in blocks for setting in block.settings}
    for setting in settings:
        row: dict[str, Any] = {"data_set": named[id(setting)]} if len(blocks) > 1 else {}
        row |= {**setting.values} or {"setting": setting.label}
        row |= {"seeds": len(setting.cells), "failed": len(setting.failed)}
        accuracy, other = spread(setting), held.get(id(setting))
        row |= {f"test_accuracy.{name}": getattr(accuracy, name, None) for name in ("mean", "sd", "low", "high", "n")}
        row["test_accuracy.interval"] = None if accuracy is None else "rows" if by_rows(accuracy) else "seeds"
        row["best"] = int(id(setting) in best)
        comparison = other.comparison if other else None
        for name in ("difference", "low", "high", "p"):
            row[f"against_best.{name}"] = getattr(comparison, name, None)
        row["against_best.p_corrected"] = other.p_corrected if other else None
        found.append(row | _over_seeds(setting))
    return to_csv(found)


def cells_csv(cells: Sequence[RunResult], settings: Sequence[Setting]) -> str:
    """One row a cell: its name, state, seeds and axes, every number of its result, and the error of one that failed.

    Of the seeds beside the fit's own, those that differ between cells.
    """
    values = {id(cell): setting.values for setting in settings for cell in (*setting.cells, *setting.failed)}
    runs, found = [dict(run(cell)) for cell in cells], []
    known = dict.fromkeys(key for seeds in runs for key in seeds)
    varied = [key for key in known if key != "seed" and len({seeds.get(key) for seeds in runs}) > 1]
    for cell, seeds in zip(cells, runs, strict=True):
        names: dict[str, Any] = {"cell": cell.cell, "status": cell.status, "seed": seeds["seed"]}
        names |= {**{key: seeds.get(key) for key in varied}, **values.get(id(cell), {})}
        found.append({**names, **numbers(cell), "error": " ".join((cell.error or "").split())})
    return to_csv(found)


def write_texts(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Writes each text to the file of its name in the folder, which is made where it is missing.

    Raises:
        UserError: there is no room to write.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def numbers(cell: RunResult) -> dict[str, float]:
    """Dotted name -> every number of a result's metrics, fidelity, cost and durations."""
    return dict(number for part in _PARTS for number in nested.numbers(getattr(cell, part), f"{part}."))


def _over_seeds(setting: Setting) -> dict[str, float | None]:
    found: dict[str, list[float]] = {}
    for cell in setting.cells:
        for name, value in numbers(cell).items():
            found.setdefault(name, []).append(value)
    over = {name: over_seeds(values, measures.bounds(name)) for name, values in found.items()}
    return {f"{name}.{what}": getattr(one, what) for name, one in over.items() for what in vars(one)}


def _row(cells: Sequence[str]) -> str:
    return " & ".join("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells) + r" \\"
