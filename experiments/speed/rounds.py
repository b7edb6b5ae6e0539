"""Jobs take turns in rounds; a round that other processes disturbed is thrown away and measured again."""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import psutil

from kd_lab.core import cores
from kd_lab.core.contention import CONTENDED, cpu_s_of_others

AGAIN = 3  # times a disturbed round is measured again before it is kept, and marked
TICKS_S = 0.05  # what the kernel's clock of processor time may be wrong by: too little to blame others for
QUIET = 0.02  # share of all cores that may be busy with others where there are many: interrupts count among them
Figures = dict[str, float]
Job = Callable[[], Figures]  # one turn


@dataclass(frozen=True)
class Round:
    """One turn of every job.

    Args:
        order: of the turns.
        figures: job -> what its turn gave.
        seconds: of the whole round.
        others_cores: processor time of all other processes in it, per second.
        contended: whether that was more than `kd_lab.core.contention.CONTENDED`, or `QUIET` of all cores that
            may be used.
    """

    order: Sequence[str]
    figures: Mapping[str, Figures]
    seconds: float
    others_cores: float
    contended: bool


@dataclass(frozen=True)
class Ratio:
    """One job's figure over another's, worked out in each round.

    Args:
        figure: which.
        median, low, high: of the rounds' ratios.
        rounds: how many.
    """

    figure: str
    median: float
    low: float
    high: float
    rounds: int


@dataclass(frozen=True)
class Measured:
    """Rounds that count, and those that were thrown away."""

    rounds: Sequence[Round]
    thrown_away: Sequence[Round]

    @property
    def contended(self) -> bool:
        """Whether a disturbed round had to be kept."""
        return any(one.contended for one in self.rounds)

    def medians(self) -> dict[str, Figures]:
        """Job -> figure -> its median over the rounds."""
        first = self.rounds[0].figures
        return {
            job: {name: median(one.figures[job][name] for one in self.rounds) for name in figures}
            for job, figures in first.items()
        }

    def ratio(self, figure: str, over: str, under: str) -> Ratio:
        """The figure of job `over` divided by that of job `under`, round by round."""
        found = [one.figures[over][figure] / one.figures[under][figure] for one in self.rounds]
        return Ratio(figure, median(found), min(found), max(found), len(found))


def by_turns(
    jobs: Mapping[str, Job], rounds: int, again: int = AGAIN, label: str = "", within: float | None = None
) -> Measured:
    """What the jobs give in so many rounds, every second round in the opposite order.

    Args:
        jobs: name -> turn.
        rounds: that count.
        again: times a disturbed round is measured again.
        label: what the line on stderr begins with after each round.
        within: seconds after which no further round begins, where a machine is lent for a time.
    """
    began = time.perf_counter()
    kept: list[Round] = []
    thrown: list[Round] = []
    for number in range(rounds):
        if kept and within is not None and time.perf_counter() - began > within:
            break
        order = list(jobs) if number % 2 == 0 else list(jobs)[::-1]
        for attempt in range(again + 1):
            one = _round(jobs, order)
            keeps = not one.contended or attempt == again
            _say(one, f"{label} round {number + 1} of {rounds}".strip(), keeps)
            (kept if keeps else thrown).append(one)
            if keeps:
                break
    return Measured(kept, thrown)


def others_s() -> float:
    """Seconds of processor time that processes used which are neither this one nor its descendants."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)  # of those that were waited for
    alive = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    own = sum(one.user + one.system + one.children_user + one.children_system for one in alive)
    return cpu_s_of_others() - ended.ru_utime - ended.ru_stime - float(own)


def _round(jobs: Mapping[str, Job], order: Sequence[str]) -> Round:
    start, others = time.perf_counter(), others_s()
    figures = {}
    for name in order:
        gc.collect()  # nobody pays for what another left behind
        figures[name] = jobs[name]()
    seconds, used = time.perf_counter() - start, others_s() - others
    allowed = max(CONTENDED, QUIET * len(cores.allowed() or range(cores.usable())))
    disturbed = used > allowed * seconds + TICKS_S
    return Round(order, {name: figures[name] for name in jobs}, seconds, max(0.0, used) / seconds, disturbed)


def _say(one: Round, label: str, keeps: bool) -> None:
    first = {job: next(iter(figures.items())) for job, figures in one.figures.items()}
    told = ", ".join(f"{job} {value:.4g} {name}" for job, (name, value) in first.items())
    fate = "" if not one.contended else ", kept and marked" if keeps else ", thrown away"
    print(
        f"{label}: {told} ({one.seconds:.1f} s, others {one.others_cores:.2f} cores{fate})", file=sys.stderr, flush=True
    )
