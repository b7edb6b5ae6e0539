"""A sweep in which every cell has finished, made of one real cell; and its line, run again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

from experiments.speed import child
from experiments.speed.rounds import Figures
from kd_lab.core import results
from kd_lab.core.cache import fingerprint
from kd_lab.pipeline.written_files import note
from kd_lab.sweeps import completed

AXES = {  # cells -> values of temperature, alpha, seed
    1: (1, 1, 1),
    10: (5, 2, 1),
    100: (5, 5, 4),
    1_000: (10, 10, 10),
}
_SMALL = (
    *("dataset=csv", "tracking=none", "model=lstm_attention", "model.init=random", "model.hidden=8"),
    *("model@teacher.model=lstm_attention", "teacher.model.init=random", "teacher.model.hidden=8"),
    *("trainer.max_epochs=1", "teacher.trainer.max_epochs=1", "evaluation.requests=2", "evaluation.rounds=1"),
)
_LINES = ("the old {} number {},b", "a red {} number {},a", "no green {} number {},c")


class Study(NamedTuple):
    """A sweep that has finished."""

    folder: Path
    line: list[str]
    cells: int
    cache: Path


def finished(folder: Path, cells: int) -> Study:
    """A sweep of so many cells, of which one ran and the others are copies of it under other settings.

    Args:
        folder: for everything.
        cells: one of `AXES`.
    """
    study = Study(folder / "multirun" / f"study{cells}", _line(folder, cells), cells, folder / "cache")
    environment = {"KD_LAB_CACHE": str(study.cache)}
    overrides = dict(one.split("=", 1) for one in study.line)
    first = next(_settings(cells))
    child.kd_lab(["-m", *(f"{key}={first.get(key, value)}" for key, value in overrides.items())], environment)
    (made,) = study.folder.glob(f"*/{results.FILE}")
    (mark,) = (study.folder / completed.FOLDER).glob("*.json")
    told, stamped = json.loads(made.read_text()), json.loads(mark.read_text())
    for number, setting in enumerate(_settings(cells)):
        own = [f"{key}={setting.get(key, value)}" for key, value in (one.split("=", 1) for one in told["overrides"])]
        if own == told["overrides"]:
            continue
        cell = f"copy-{number}"
        shutil.copytree(made.parent, study.folder / cell, ignore=shutil.ignore_patterns("model"))
        config = {**told["config"], "seed": int(setting["seed"])}
        config["loss"] = {
            **config["loss"],
            **{key[5:]: float(setting[key]) for key in ("loss.temperature", "loss.alpha")},
        }
        copy = {**told, "cell": cell, "overrides": own, "config": config}
        (study.folder / cell / results.FILE).write_text(json.dumps(copy, indent=1))
        note(study.folder / cell)
        name = f"{fingerprint(own)}.json"
        (study.folder / completed.FOLDER / name).write_text(json.dumps({**stamped, "cell": cell}))
    return study


def rerun(study: Study) -> Figures:
    """The same line again, which must find every cell finished.

    Raises:
        RuntimeError: it did not.
    """
    start = time.perf_counter()
    said = child.kd_lab(["-m", *study.line], {"KD_LAB_CACHE": str(study.cache)})
    seconds = time.perf_counter() - start
    if f"{study.cells} of {study.cells} cells have finished before" not in " ".join(said.split()):
        raise RuntimeError(f"cells ran that had finished: {said[-1000:]}")
    return {"seconds": seconds}


def _line(folder: Path, cells: int) -> list[str]:
    file = folder / "small.csv"
    if not file.is_file():
        rows = [
            line.format(noun, n) for n in range(12) for noun in ("house", "cat", "river", "song") for line in _LINES
        ]
        file.write_text("\n".join(["text,label", *rows, ""]))
    swept = {key: ",".join(dict.fromkeys(one[key] for one in _settings(cells))) for key in next(_settings(cells))}
    places = [f"dataset.path={file}", f"paths.multirun={folder / 'multirun'}", f"name=study{cells}"]
    return [*_SMALL, *places, *(f"{key}={values}" for key, values in swept.items())]


def _settings(cells: int) -> Iterator[dict[str, str]]:
    temperatures, alphas, seeds = AXES[cells]
    for temperature, alpha, seed in product(range(temperatures), range(alphas), range(seeds)):
        yield {"loss.temperature": str(temperature + 1), "loss.alpha": f"0.{alpha}", "seed": str(seed)}
