"""A time is contended where others kept this process from computing, not where others computed somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kd_lab.core import contention, cores
from kd_lab.core.contention import ClockReading, lost_s

START = ClockReading(at=0.0, own=1.0, others=50.0, stolen=0.0, throttled=0.0, waited={"1": 2.0, "2": 0.5})


def later(**changes: object) -> ClockReading:
    """Ten seconds later: this process has computed for eight, others for none."""
    return START._replace(**{"at": 10.0, "own": 9.0, **changes})


@pytest.mark.parametrize(
    ("until", "lost"),
    [
        # others on a host of many cores compute elsewhere for 300 s, and our threads never waited
        (later(others=350.0), 0.0),
        # thread 1 waited 3 s and a new one 1 s; thread 2 has ended
        (later(others=350.0, waited={"1": 5.0, "3": 1.0}), 4.0),
        # its own threads in each other's way are not others
        (later(others=50.5, waited={"1": 9.0, "2": 7.5}), 0.5),
        # the quota stopped it
        (later(throttled=1.5), 1.5),
        # a virtual machine was without its cores for 4 s; it computed for 8 s, others for 24: a quarter is its own
        (later(others=74.0, stolen=4.0), 1.0),
    ],
)
def test_what_others_and_the_quota_cost_this_process_is_lost_and_nothing_else(until: ClockReading, lost: float) -> None:
    assert lost_s(START, until) == lost


def test_where_the_kernel_does_not_tell_who_waited_all_work_of_others_counts() -> None:
    assert lost_s(START._replace(waited=None), later(others=53.0, waited=None)) == 3.0


@pytest.mark.parametrize(("waited", "marked"), [(3.4, False), (3.6, True)])
def test_up_to_a_share_of_the_time_it_is_not_marked(
    waited: float, marked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = later(others=99.0, waited={"1": waited})  # of 10 s, since 2.0
    monkeypatch.setattr(contention, "read_clocks", lambda: until)
    assert contention.contended(START) is marked


def account(folder: Path, thread: str, text: str) -> None:
    (folder / thread).mkdir(parents=True)
    (folder / thread / "schedstat").write_text(text)


def test_the_waiting_of_every_thread_is_read_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account(tmp_path, "7", "900 2500000000 3\n")
    account(tmp_path, "8", "0 500000000 1\n")
    (tmp_path / "9").mkdir()  # it ends while it is read
    monkeypatch.setattr(contention, "THREADS", tmp_path)
    assert contention.read_clocks().waited == {"7": 2.5, "8": 0.5}


def test_a_kernel_that_keeps_no_account_is_not_taken_for_one_where_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "THREADS", tmp_path / "none")
    assert contention.read_clocks().waited is None
    account(tmp_path, "7", "0 0 0\n")
    monkeypatch.setattr(contention, "THREADS", tmp_path)
    assert contention.read_clocks().waited is None


def test_only_the_cores_that_it_may_use_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    each = [SimpleNamespace(user=100.0 * 2**core, system=5.0, steal=1.0, idle=1000.0) for core in range(4)]
    monkeypatch.setattr(contention.psutil, "cpu_times", lambda percpu: each)
    monkeypatch.setattr(contention.time, "process_time", lambda: 30.0)
    monkeypatch.setattr(cores, "allowed", lambda: [0, 2])
    assert contention.cpu_s_of_others() == 100 + 400 + 2 * 5 + 2 * 1 - 30
    assert contention.read_clocks().others == 100 + 400 + 2 * 5 - 30
    assert contention.read_clocks().stolen == 2.0
    monkeypatch.setattr(cores, "allowed", lambda: [0, 7])  # numbers with gaps: some are off
    assert contention.read_clocks().others == 1500 + 4 * 5 - 30


def test_a_busy_neighbour_is_seen() -> None:
    before = contention.cpu_s_of_others()
    code = "import time\nwhile time.process_time() < 0.8: pass"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert contention.cpu_s_of_others() - before > 0.7
