"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.speed.rounds import AGAIN, Job, Measured, by_turns
from kd_lab.core.paths import root

# With --gpu: models of the usual size; their weights are random, which does not matter to their speed.
STUDENT = ("model=distilbert", "model.init=random", "model.keep_layers=null")
TEACHER = ("teacher=bert_base", "teacher.model.init=random", "teacher.trainer.max_epochs=0")
DEVICE = ("trainer.device=cuda", "teacher.trainer.device=cuda")


@dataclass(frozen=True)
class BenchmarkRequest:
    """What a person asked of a benchmark.

    Args:
        benchmark: its name, the folder of its result.
        command: the line that repeats it.
        rounds, again, within: see `rounds.by_turns`.
        quick: whether this only shows that it works.
        to: where results lie, a folder for each benchmark.
        overrides: of kd_lab's config, after those of the benchmark.
        options: the benchmark's own.
    """

    benchmark: str
    command: str
    rounds: int
    again: int
    within: float | None
    quick: bool
    to: Path
    overrides: Sequence[str]
    options: argparse.Namespace

    @property
    def folder(self) -> Path:
        """Where its result lies."""
        return self.to / self.benchmark

    def number(self, name: str, usual: int, quick: int) -> int:
        """The benchmark's own option of this name; where it was not given, `usual` or, with --quick, `quick`."""
        given: int | None = getattr(self.options, name)
        return given if given is not None else quick if self.quick else usual

    def by_turns(self, jobs: Mapping[str, Job], rounds: int | None = None) -> Measured:
        """What the jobs give in as many rounds as were asked for, or `rounds`; see `rounds.by_turns`."""
        return by_turns(jobs, rounds or self.rounds, self.again, self.benchmark, self.within)


def parser(
    benchmark: str,
    about: str | None,
    rounds: int,
    again: int = AGAIN,
    student: Sequence[str] = STUDENT,
    gpu: bool = True,
) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take.

    Args:
        benchmark: its name.
        about: the docstring of its module.
        rounds, again: see `rounds.by_turns`; what holds unless asked for otherwise.
        student: overrides that choose it with --gpu; empty where the benchmark's own stays.
        gpu: whether it measures a GPU where it is asked to.
    """
    made = argparse.ArgumentParser(
        prog=f"python -m experiments.speed.{benchmark}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("overrides", nargs="*", help="overrides of kd_lab's config, e.g. dataset=docstrings")
    made.add_argument("--rounds", type=int, help=f"rounds that count, {rounds}")
    made.add_argument("--again", type=int, help=f"times a disturbed round is measured again, {again}")
    made.add_argument("--within", type=float, help="seconds after the first round's begin when no further one begins")
    made.add_argument("--quick", action="store_true", help="one small round, to see that it works: no measurement")
    named = "BERT-base and DistilBERT" if student else "BERT-base as teacher"
    if gpu:
        made.add_argument("--gpu", action="store_true", help=f"on a GPU, with {named}; results in a folder gpu")
    made.add_argument("--to", type=Path, help="folder of results; experiments/speed, with --quick one for the bin")
    made.set_defaults(benchmark=benchmark, usual_rounds=rounds, usual_again=again, gpu=False)
    made.set_defaults(on_gpu=[*student, *TEACHER, *DEVICE])
    return made


def ask(made: argparse.ArgumentParser, arguments: Sequence[str] | None) -> BenchmarkRequest:
    """What the arguments, or those of the process, say."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    said = made.parse_intermixed_args(given)
    bin_folder = Path(tempfile.gettempdir()) / "kd_lab_speed"
    to = said.to or (bin_folder if said.quick else root() / "experiments" / "speed") / ("gpu" if said.gpu else "")
    return BenchmarkRequest(
        benchmark=said.benchmark,
        command=shlex.join(["python", "-m", f"experiments.speed.{said.benchmark}", *given]),
        rounds=said.rounds or (1 if said.quick else said.usual_rounds),
        again=said.again if said.again is not None else 0 if said.quick else said.usual_again,
        within=said.within,
        quick=said.quick,
        to=to,
        overrides=[*(said.on_gpu if said.gpu else ()), *said.overrides],
        options=said,
    )
