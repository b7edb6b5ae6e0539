"""How long this process was kept from computing by others: whether a time taken meanwhile is to be trusted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from kd_lab.core import cores

CONTENDED = 0.15  # seconds lost to others, of each second, above which times are marked
THREADS = Path("/proc/self/task")
_BUSY = ("user", "nice", "system", "irq", "softirq")


class ClockReading(NamedTuple):
    """Clocks read at once, all in seconds."""

    at: float
    own: float  # processor time of this process
    others: float  # of all others, on the cores that this process may use
    stolen: float  # in which a virtual machine's cores were another's
    throttled: float  # in which the container's quota stopped it
    waited: Mapping[str, float] | None  # thread -> ready to run and not running; None where the kernel does not tell


def read_clocks() -> ClockReading:
    """The clocks now."""
    own, busy = time.process_time(), _on_these_cores(_BUSY)
    return ClockReading(
        time.perf_counter(), own, busy - own, _on_these_cores(("steal",)), cores.throttled_s(), _waited()
    )


def lost_s(since: ClockReading, until: ClockReading | None = None) -> float:
    """Seconds of its threads' time that others have cost this process.

    What counts is the time in which its threads were ready and did not run (the second field of Linux's `schedstat`,
    of all threads), not how busy the machine is: on a host with many cores others always compute somewhere, and do
    this process no harm. Its own threads wait for each other too, so no more counts than others have computed on the
    cores that it may use. To this comes what nobody inside sees as waiting: its share of the time in which a virtual
    machine's cores were taken away, and the time in which the container's quota stopped it, though that is its own
    doing: such a time says more about the quota than about the model.

    Off Linux the time in which others have computed is all there is to go by.

    Args:
        since, until: what `read_clocks` gave; without `until` it is now.
    """
    until = until or read_clocks()
    others, own = max(0.0, until.others - since.others), until.own - since.own
    kept = others
    if since.waited is not None and until.waited is not None:
        waited = sum(seconds - since.waited.get(thread, 0.0) for thread, seconds in until.waited.items())
        kept = min(others, waited)
    share = own / (own + others) if own + others > 0 else 0.0
    return kept + share * (until.stolen - since.stolen) + until.throttled - since.throttled


def contended(since: ClockReading) -> bool:
    """Whether more than `CONTENDED` of the time since then was lost."""
    until = read_clocks()
    return lost_s(since, until) > CONTENDED * (until.at - since.at)


def cpu_s_of_others() -> float:
    """Seconds of processor time that all other processes have used on the cores that this one may use."""
    return _on_these_cores((*_BUSY, "steal")) - time.process_time()


def _on_these_cores(kinds: tuple[str, ...]) -> float:
    allowed, each = cores.allowed(), psutil.cpu_times(percpu=True)
    if allowed is not None and allowed[-1] < len(each):  # cores that are off are not among `each`
        each = [each[core] for core in allowed]
    return float(sum(getattr(core, kind, 0.0) for core in each for kind in kinds))


def _waited() -> dict[str, float] | None:
    """Thread -> seconds for which it was ready to run and did not; None where the kernel keeps no such account."""
    accounts: dict[str, list[int]] = {}
    for thread in THREADS.iterdir() if THREADS.is_dir() else ():
        with suppress(OSError):  # it has ended just now, or there is no account
            accounts[thread.name] = [int(field) for field in (thread / "schedstat").read_text().split()]
    if not any(ran for ran, _, _ in accounts.values()):
        return None
    return {thread: waited / 1e9 for thread, (_, waited, _) in accounts.items()}
