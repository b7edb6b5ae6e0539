"""Times jobs by turns, so that a machine that speeds up or slows down does so for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import numpy as np

from kd_lab.core import contention
from kd_lab.core.contention import CONTENDED
from kd_lab.core.progress import Advance

BUDGET_S = 1.0  # of a job in all rounds
AGAIN = 2  # times a round that others disturbed is measured again before its times are taken, and marked
_TICKS_S = 0.03  # what the kernel's clock of processor time may be wrong by: too little to blame others for
_MOST = 50  # calls in a turn
Job = Callable[[int], object]  # the k-th call


class InterleavedTimer:
    """Times jobs by turns.

    In each round every job has its turn, in every second round the other way round. A turn begins with a call that is
    not timed, since caches hold what another needed. A round in which others kept it from computing for more than
    `contention.CONTENDED` of the time is measured again, `AGAIN` times at most.

    Args:
        rounds: turns of each job.
        budget_s: a job's in all rounds; a turn takes one call at least, however long.
        noted: a file that gets a byte a round, for whoever waits.

    `contended` says whether times had to be taken from a disturbed round, `remeasured` how many rounds were measured
    again.
    """

    def __init__(self, rounds: int, budget_s: float, noted: Path) -> None:
        self.rounds, self.budget_s, self.noted = rounds, budget_s, noted
        self.contended, self.remeasured = False, 0

    def time_jobs(self, jobs: Sequence[Job], calls: int | None = None) -> list[dict[str, float]]:
        """Percentiles of each job's times: `p50`, `p95` and `p99`, ms, over `n` calls.

        Args:
            jobs: each is called with the number of the call within its turn.
            calls: in a turn; None takes as many as the budget allows.
        """
        each = [calls or self._calls(job) for job in jobs]
        kept: list[list[float]] = [[] for _ in jobs]
        for turn in range(self.rounds):
            order = range(len(jobs)) if turn % 2 == 0 else range(len(jobs) - 1, -1, -1)
            for place, times in self._round(jobs, each, order).items():
                kept[place] += times
            with self.noted.open("ab") as file:
                file.write(b".")
        return [{**{f"p{q}": 1e3 * float(np.percentile(own, q)) for q in (50, 95, 99)}, "n": len(own)} for own in kept]

    def _round(self, jobs: Sequence[Job], each: Sequence[int], order: Sequence[int]) -> dict[int, list[float]]:
        for attempt in range(AGAIN + 1):
            start, since = time.perf_counter(), contention.read_clocks()
            taken = {place: _seconds(jobs[place], each[place]) for place in order}
            spent = time.perf_counter() - start
            if contention.lost_s(since) <= CONTENDED * spent + _TICKS_S:
                return taken
            self.remeasured += attempt < AGAIN
        self.contended = True
        return taken

    def _calls(self, job: Job) -> int:
        seconds = min(_seconds(job, 2))
        return max(1, min(_MOST, int(self.budget_s / self.rounds / seconds)))


def _seconds(job: Job, calls: int) -> list[float]:
    times = []
    job(0)
    for call in range(calls):
        start = time.perf_counter_ns()
        job(call)
        times.append((time.perf_counter_ns() - start) / 1e9)
    return times


@contextmanager
def following(advance: Advance) -> Iterator[Path]:
    """A file to which the process adds a byte a round; `advance` hears of them meanwhile."""
    with TemporaryDirectory() as name:
        turns, ended = Path(name) / "turns", Event()
        turns.touch()

        def follow() -> None:
            seen = 0
            while True:
                last = ended.wait(0.2)
                size = turns.stat().st_size
                advance(size - seen)
                seen = size
                if last:
                    return

        thread = Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield turns
        finally:
            ended.set()
            thread.join()
