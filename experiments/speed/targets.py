"""What each benchmark has to reach: the rows of the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

Result = dict[str, Any]


class Value(NamedTuple):
    """A number that is judged, with its spread where it has one."""

    middle: float
    low: float | None = None
    high: float | None = None


Read = Callable[[Result], Value]  # takes it from a result


@dataclass(frozen=True)
class Target:
    """One line of the table.

    Args:
        benchmark: whose result.
        what: is measured.
        job, against: of the result's medians; `against` "" where ours stands alone.
        figure: of both.
        value: the number that is judged, from the result.
        bound, beyond: what it must reach, and what would be better still.
        least: whether these are lower bounds.
        command: what measures it, after `python -m experiments.speed.`; "" is the benchmark's name.
    """

    benchmark: str
    what: str
    job: str
    against: str
    figure: str
    value: Read
    bound: float
    beyond: float | None = None
    least: bool = True
    command: str = ""

    def verdict(self, found: Result) -> str:
        """Whether it is reached."""
        value = self.value(found).middle

        def holds(bound: float) -> bool:
            return value >= bound if self.least else value <= bound

        told = "no" if not holds(self.bound) else "yes"
        if self.beyond is not None and holds(self.beyond):
            told = "yes, beyond"
        return f"{told} (contended)" if found["contended"] else told


def ratio(name: str) -> Read:
    """A ratio, with its spread over the rounds."""

    def read(found: Result) -> Value:
        one = found["ratios"][name]
        return Value(one["median"], one["low"], one["high"])

    return read


def median(job: str, figure: str) -> Read:
    """The median of a figure over the rounds."""
    return lambda found: Value(found["medians"][job][figure])


def overhead(found: Result) -> Value:
    """Time that ours takes longer than the bare loop, in percent of the bare loop's."""
    one = found["ratios"]["ours / bare"]
    return Value(*(100 * (1 / one[name] - 1) for name in ("median", "high", "low")))


def points(side: str) -> Read:
    """Test accuracy of ours less the side's in percentage points, with Newcombe's interval from Wilson's two."""

    def read(found: Result) -> Value:
        ours, theirs = (
            [100 * found["medians"][job][name] for name in ("accuracy", "low", "high")] for job in ("ours", side)
        )
        apart = ours[0] - theirs[0]
        below = math.hypot(ours[0] - ours[1], theirs[2] - theirs[0])
        above = math.hypot(ours[2] - ours[0], theirs[0] - theirs[1])
        return Value(apart, apart - below, apart + above)

    return read


def slope(curve: str) -> Read:
    """Of seconds over size between the two largest sizes, on log-log axes."""
    return lambda found: Value(found["figures"]["slopes"][curve]["last"])


_RATE, _WALL = "examples_per_s", "wall_s"
_BASIC, _JOBLIB = ("sweep_basic", "5 x 5 sweep, one by one"), ("sweep_joblib", "5 x 5 sweep, two side by side")
TARGETS = (
    Target("student", "one student, CLINC150 plus, `distilbert_mini`", "ours", "a", _RATE, ratio("ours / a"), 25),
    Target("student", "the same", "ours", "b", _RATE, ratio("ours / b"), 3, 5),
    Target("student", "framework overhead, %", "ours", "bare", _RATE, overhead, 5, 2, least=False),
    Target("accuracy", "test accuracy after all epochs, points apart", "ours", "b", "accuracy", points("b"), -1),
    Target("accuracy", "the same", "ours", "bare", "accuracy", points("bare"), -1),
    Target("lstm", "`lstm_attention`, IMDB at 128 tokens", "ours", "b", _RATE, ratio("ours / b"), 8),
    Target("lstm", "framework overhead, %", "ours", "bare", _RATE, overhead, 5, 2, least=False),
    Target(*_BASIC, "ours", "a (extrapolated)", _WALL, ratio("a / ours"), 25, command="sweep"),
    Target(*_BASIC, "ours", "b (extrapolated)", _WALL, ratio("b / ours"), 3.5, 6, command="sweep"),
    Target(*_JOBLIB, "ours", "a (extrapolated)", _WALL, ratio("a / ours"), 25, command="sweep --launcher joblib"),
    Target(*_JOBLIB, "ours", "b (extrapolated)", _WALL, ratio("b / ours"), 3.5, 6, command="sweep --launcher joblib"),
    Target("teacher_outputs", "teacher outputs", "ours", "bare", "rows_per_s", ratio("ours / bare"), 0.95),
    Target(
        "ready_teacher",
        "a ready teacher's pass, of processor time",
        "ours",
        "bare",
        "rows_per_cpu_s",
        ratio("ours / bare, processor time"),
        0.95,
    ),
    Target(
        "pretrain",
        "`kd-lab pretrain`, pieces by processor time",
        "ours",
        "bare",
        "tokens_per_cpu_s",
        ratio("ours / bare, processor time"),
        0.95,
    ),
    Target("tokenise", "a million short texts", "ours", "tokenizer", "texts_per_s", ratio("ours / tokenizer"), 0.9),
    Target(
        "tokenise", "memory above the base", "ours", "", "memory_mib", median("ours", "memory_mib"), 1024, least=False
    ),
    Target("startup", "`kd-lab --help`", "help", "", "seconds", median("help", "seconds"), 1, 0.5, least=False),
    Target("startup", "first step", "first_step", "", "seconds", median("first_step", "seconds"), 6, 4, least=False),
    Target(
        "memory", "peak memory while distilling", "ours", "bare", "peak_mib", ratio("ours / bare"), 1.1, least=False
    ),
    Target("memory", "models in memory", "ours", "bare", "classifiers", median("ours", "classifiers"), 1, least=False),
    Target("growth", "slope, tokenise", "tokenise 1000000", "", "seconds", slope("tokenise"), 1.05, least=False),
    Target("growth", "slope, teacher outputs", "answer 1000000", "", "seconds", slope("answer"), 1.05, least=False),
    Target("growth", "slope, an epoch", "learn 1000000", "", "seconds", slope("learn"), 1.05, least=False),
    Target("growth", "slope, finished cells", "rerun 1000", "", "seconds", slope("rerun"), 1.05, least=False),
)
