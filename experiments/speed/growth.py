"""How cost grows: rows from 1,000 to a million, and finished cells from 1 to 1,000. Linear is what is wanted.

Rows: short texts are tokenised, a small LSTM answers them as a teacher, another learns from it for one epoch. Cells:
the line of a sweep in which all have finished is run again. Writes `curves.png`, and the slope of each curve on log-log
axes: 1 is linear, below 1 a fixed cost still shows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from experiments.speed import result
from experiments.speed.command_line import BenchmarkRequest, ask, parser
from experiments.speed.finished_cells import finished, rerun
from experiments.speed.growth_plot import draw
from experiments.speed.growth_rows import CURVES, Rows
from experiments.speed.rounds import Figures, Measured
from experiments.speed.short_texts import words

ROWS = (1_000, 10_000, 100_000, 1_000_000)
CELLS = (1, 10, 100, 1_000)
PICTURE = "curves.png"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `growth/result.json` and `growth/curves.png`, prints."""
    made = parser("growth", __doc__, rounds=3, gpu=False)
    made.add_argument("--budget-s", type=int, help="no size is begun that would need more for all rows' curves, 400")
    made.add_argument("--largest", type=int, help="most rows, 1000000")
    made.add_argument("--most-cells", type=int, help="1000")
    asked = ask(made, arguments)
    budget_s = asked.number("budget_s", 400, 60)
    sizes = [size for size in ROWS if size <= asked.number("largest", ROWS[-1], ROWS[1])]
    numbers = [number for number in CELLS if number <= asked.number("most_cells", CELLS[-1], CELLS[1])]
    curves: dict[str, dict[int, float]] = {}
    notes, measured = [], list[Measured]()
    spoken = words(asked.overrides)
    began, last_s = time.perf_counter(), 0.0
    for size in sizes:
        left_s = budget_s - (time.perf_counter() - began)
        if last_s * 10 > left_s:
            notes.append(f"{size:,} rows were left out: they would have needed more than the {left_s:.0f} s left")
            break
        rounds = asked.rounds if size <= ROWS[1] else 1  # what takes long varies little
        one = _rows(asked, size, spoken, rounds)
        last_s = one.rounds[-1].seconds
        measured.append(one)
        _add(curves, one, size)
    with tempfile.TemporaryDirectory() as name:
        for number in numbers:
            study = finished(Path(name), number)
            one = asked.by_turns({f"rerun {number}": partial(rerun, study)})
            measured.append(one)
            _add(curves, one, number)
    asked.folder.mkdir(parents=True, exist_ok=True)
    draw(curves, asked.folder / PICTURE)
    slopes = {curve: slope(points) for curve, points in curves.items() if len(points) > 1}
    settings = {"rows": sizes, "cells": numbers, "curves": {**CURVES, "rerun": "kd-lab -m again, all cells finished"}}
    figures = {"seconds": curves, "slopes": slopes}
    result.write(asked, measured, {}, settings, figures=figures, notes=notes)


def slope(points: Mapping[int, float]) -> dict[str, float]:
    """Of seconds over size on log-log axes: `all` points by least squares, and between the `last` two."""
    sizes, seconds = np.log(list(points)), np.log(list(points.values()))
    last = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])
    return {"all": float(np.polyfit(sizes, seconds, 1)[0]), "last": float(last)}


def _rows(asked: BenchmarkRequest, size: int, spoken: tuple[str, ...], rounds: int) -> Measured:
    with tempfile.TemporaryDirectory() as name:
        rows = Rows(size, spoken, Path(name))

        def turn(curve: str) -> Figures:
            start = time.perf_counter()
            getattr(rows, curve)()
            return {"seconds": time.perf_counter() - start}

        jobs = {f"{curve} {size}": partial(turn, curve) for curve in CURVES}
        return asked.by_turns(jobs, rounds)


def _add(curves: dict[str, dict[int, float]], one: Measured, size: int) -> None:
    for job, found in one.medians().items():
        curves.setdefault(job.split()[0], {})[size] = found["seconds"]


if __name__ == "__main__":
    main()
