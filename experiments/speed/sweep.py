"""A 5 x 5 sweep over temperature and alpha: ours by the clock, the peers worked out from measured rates.

Ours is the command line as a person types it, in a fresh study: every cell's fit, evaluation, latency, figures and
mirror in MLflow, and the teacher's passes. The tokens and the teacher's fit are there before, on every side. The peers
would take hours: their examples a second are `student`'s, their evaluation is timed here on some rows, and both are
multiplied out: 25 fits, with validation after each epoch and test at the end.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from experiments.speed import child, result
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import SAME_LOSS, Prepared, prepare
from experiments.speed.rounds import Figures, Ratio, by_turns
from experiments.speed.student import OVERRIDES, QUICK
from experiments.speed.worker import workers

TEMPERATURES, ALPHAS = ("1", "2", "4", "8", "16"), ("0.1", "0.3", "0.5", "0.7", "0.9")
LAUNCHERS = {  # "joblib" gives each of its two processes one thread of two cores
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `sweep_basic/result.json` or `sweep_joblib/result.json`, prints."""
    made = parser("sweep", __doc__, rounds=1, again=0)
    made.add_argument("--epochs", type=int, help="of each fit, 5")
    made.add_argument("--values", type=int, help="of temperature and of alpha, 5")
    made.add_argument("--launcher", choices=LAUNCHERS, default="basic", help="of ours; each has a result of its own")
    made.add_argument("--rates", type=Path, help="result.json of `student`; the one beside this benchmark's result")
    asked = ask(made, arguments)
    asked = replace(asked, benchmark=f"sweep_{asked.options.launcher}")
    epochs, values = asked.number("epochs", 5, 1), asked.number("values", 5, 2)
    rates = result.read(asked.options.rates or asked.to / "student" / result.FILE)["medians"]
    overrides = [*SAME_LOSS, *OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides]
    prepared = prepare(overrides)
    line = [*overrides, f"trainer.max_epochs={epochs}", "trainer.patience=1000", "name=speed"]
    line += [f"loss.temperature={','.join(TEMPERATURES[:values])}", f"loss.alpha={','.join(ALPHAS[:values])}"]
    steps_s: dict[str, float] = {}
    jobs = {"ours": partial(_ours, prepared, [*line, *LAUNCHERS[asked.options.launcher]], steps_s)}
    measured = asked.by_turns(jobs)
    judged_rows = {"a": {"rows": 40 if asked.quick else 300}, "b": {"rows": 200 if asked.quick else 3000}}
    with workers(tuple(judged_rows), "judge", overrides, judged_rows) as judges:
        judging = by_turns(judges, 1)
    cells, judged = values**2, judging.medians()
    hours = {side: cells * _fit_s(prepared, epochs, rates[side], judged[side]) / 3600 for side in ("a", "b")}
    ours = sorted(one.figures["ours"]["wall_s"] / 3600 for one in measured.rounds)
    middle = measured.medians()["ours"]["wall_s"] / 3600
    result.write(
        asked,
        [measured, judging],
        {
            f"{side} / ours": Ratio("hours", whole / middle, whole / ours[-1], whole / ours[0], len(ours))
            for side, whole in hours.items()
        },
        {**prepared.settings(), "cells": cells, "epochs": epochs, "launcher": asked.options.launcher},
        figures={
            "hours": {"ours": middle, **hours},
            "rates_examples_per_s": {side: rates[side]["examples_per_s"] for side in ("a", "b")},
            "ours_steps_s": steps_s,
        },
        notes=[
            "hours of (a) and (b) are extrapolated from `student`'s examples a second and the evaluation timed here",
            "the peers' start-up, some seconds a fit, and their choosing of the best epoch are not counted",
            "ours_steps_s: seconds of each step summed over the cells, which two processes share under joblib",
        ],
    )


def _ours(prepared: Prepared, line: Sequence[str], steps_s: dict[str, float]) -> Figures:
    """The whole sweep in a process of its own, with a cache that holds tokens and the fitted teacher alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kept in (prepared.tokens.folder, prepared.teacher.fitted.folder):
            shutil.copytree(kept, folder / "cache" / kept.parent.name / kept.name)
        start = time.perf_counter()
        child.kd_lab(["-m", *line, f"paths.multirun={folder / 'multirun'}"], {"KD_LAB_CACHE": str(folder / "cache")})
        seconds = time.perf_counter() - start
        cells = [json.loads(path.read_text()) for path in (folder / "multirun").glob("speed/*/result.json")]
    if not cells or any(cell["status"] != "finished" for cell in cells):
        raise RuntimeError("not all cells finished")
    steps_s.clear()
    for cell in cells:
        for step, taken in cell["durations_s"].items():
            steps_s[step] = round(steps_s.get(step, 0.0) + taken, 3)
    return {"wall_s": seconds, "cells": len(cells)}


def _fit_s(prepared: Prepared, epochs: int, rate: Figures, judged: Figures) -> float:
    """A peer's seconds for one cell."""
    train, validation, test = (len(prepared.tokens.split(name)) for name in ("train", "validation", "test"))
    return epochs * train / rate["examples_per_s"] + (epochs * validation + test) / judged["rows_per_s"]


if __name__ == "__main__":
    main()
