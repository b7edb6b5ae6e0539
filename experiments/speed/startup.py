"""How long `kd-lab --help` takes, and a composed run until its first training step.

The run's teacher, its outputs and the tokens are in the cache, its student is not. The process ends itself when the
first training step begins; its time counts from before it is started. `--profile` prints the slowest imports instead.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Sequence
from functools import partial

from experiments.speed import child, result
from experiments.speed.command_line import ask, parser
from experiments.speed.first_step import REACHED
from experiments.speed.prepared import SAME_LOSS, forget_student, prepare
from experiments.speed.rounds import Figures, Job
from experiments.speed.student import OVERRIDES, QUICK
from kd_lab.cli.compose import compose
from kd_lab.pipeline.cell import Cell

_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| *(\S+)")  # -X importtime: own and cumulative microseconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `startup/result.json`, prints."""
    made = parser("startup", __doc__, rounds=7)
    made.add_argument("--profile", action="store_true", help="print the slowest imports of both instead of measuring")
    asked = ask(made, arguments)
    overrides = [*SAME_LOSS, *OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides]
    prepared = prepare(overrides)
    with tempfile.TemporaryDirectory() as multirun:
        overrides += ["tracking=none", f"paths.multirun={multirun}"]
        run = ["-m", "experiments.speed.first_step", *overrides]
        forget_student(Cell(compose(overrides)))
        if asked.options.profile:
            _profile("help", ["-m", "kd_lab", "--help"])
            _profile("first step", run)
            return
        jobs: dict[str, Job] = {"help": _help, "first_step": partial(_first_step, run)}
        for job in () if asked.quick else jobs.values():
            job()  # the libraries' files are in memory from here on
        measured = asked.by_turns(jobs)
    notes = [
        "from before a process is started to the end of `kd-lab --help`, or to the start of the first training step"
    ]
    result.write(asked, [measured], {}, prepared.settings(), notes=notes)


def _help() -> Figures:
    start = time.monotonic()
    child.run("-m", "kd_lab", "--help")
    return {"seconds": time.monotonic() - start}


def _first_step(line: Sequence[str]) -> Figures:
    start = time.monotonic()
    said = child.run(*line).stdout
    if REACHED not in said:
        raise RuntimeError("the run came to its end without a training step: see first_step.METHOD")
    return {"seconds": float(said.rpartition(REACHED)[2].split()[0]) - start}


def _profile(name: str, arguments: Sequence[str]) -> None:
    found = [_LINE.match(line) for line in child.run("-X", "importtime", *arguments).stderr.splitlines()]
    slowest = sorted(((int(one[2]), int(one[1]), one[3]) for one in found if one), reverse=True)[:40]
    print(f"{name}: cumulative ms, own ms, module")
    for whole, own, module in slowest:
        print(f"{whole / 1e3:9.0f} {own / 1e3:7.0f}  {module}")


if __name__ == "__main__":
    main()
