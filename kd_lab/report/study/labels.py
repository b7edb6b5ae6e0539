"""What a person calls the cells of a study: model, what was done to it, and whatever else tells cells apart."""

from __future__ import annotations

from collections.abc import Sequence

from kd_lab.core import tables
from kd_lab.core.results import RunResult
from kd_lab.pipeline import summary_table


def labels(cells: Sequence[RunResult]) -> dict[str, str]:
    """cell -> such as "distilbert_mini distilled + onnx_int8, seed=1", read off the resolved configs.

    Of the model's name and what was done, what all cells share is left out.
    """
    rows = summary_table.rows(cells)[-len(cells) :]  # teachers stand before them
    extra = [name for name in rows[0] if name not in (*summary_table.COLUMNS, *summary_table.EXTRA)]
    shared = {name: len({row[name].split(" + ")[0] for row in rows}) == 1 for name in ("model", "method")}
    found = {}
    for cell, row in zip(cells, rows, strict=True):
        first, *steps = row["method"].split(" + ")
        words = [row["model"]] if not shared["model"] else []
        words += [first] if not shared["method"] or not steps else []
        name = " ".join([*words, *([" + ".join(steps)] if steps else [])])
        told = [f"{key}={row[key]}" for key in extra if row[key] != tables.MISSING]
        found[cell.cell] = ", ".join([name, *told])
    return found
