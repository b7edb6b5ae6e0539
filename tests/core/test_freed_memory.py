"""Memory that is freed is there for what comes next, without a fault for each page, and goes back between two cells."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from kd_lab.cli import run
from kd_lab.core import process_tuning

FAULTS = """
import resource, torch
from kd_lab.core.process_tuning import keep_freed_memory
def turn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(2**24) for _ in range(4)]  # 64 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
given_back = turn()
keep_freed_memory()
print(given_back, min(turn() for _ in range(12)))  # the first ones find their places
"""

GIVEN_BACK = """
import psutil, torch
from kd_lab.core import process_tuning
process_tuning.keep_freed_memory()
process_tuning.KEPT = 1024 * 2**20
def mib():
    return psutil.Process().memory_info().rss / 2**20
def given_back(asked, times=1):
    before = mib()
    for _ in range(times):
        asked()
    return before - mib()
freed = process_tuning.FreedMemory()
def fill():
    global last
    held = [torch.ones(2**18) for _ in range(512)]  # 1 MiB each
    last, full = held[-1], mib()  # `last` stays above what is freed
    del held
    return full - mib()
print(fill(), given_back(freed.bound, 32))
process_tuning.KEPT = 256 * 2**20
print(given_back(freed.bound, 15), given_back(freed.bound), given_back(freed.bound, 16))
print(fill(), given_back(process_tuning.give_back_freed_memory))
"""


def numbers(code: str) -> list[float]:
    return [float(word) for word in subprocess.check_output([sys.executable, "-c", code], text=True).split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_kept_memory_costs_no_faults() -> None:
    given_back, kept = numbers(FAULTS)
    assert given_back > 1000
    assert kept < 100


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_what_is_kept_is_given_back_once_it_is_more_than_may_be_or_when_asked_for() -> None:
    at_once, less_than_may_be, before, at_the_next_look, later, again, asked = numbers(GIVEN_BACK)
    assert max(at_once, less_than_may_be, before, later, again) < 50
    assert min(at_the_next_look, asked) > 450


@pytest.mark.parametrize(("before", "times"), [([], 0), ([Path("cell")], 1)])
def test_it_is_given_back_before_each_cell_of_a_process_but_the_first(
    before: list[Path], times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(run, "_cells", before)
    monkeypatch.setattr(run, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(run, "give_back_freed_memory", lambda: told.append("given back"))
    monkeypatch.setattr(run, "job_of_a_program", lambda config: told.append("cell"))
    run.job(OmegaConf.create())
    assert told == ["given back"] * times + ["cell"]


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_elsewhere_nothing_happens(missing: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: None) -> None:
        raise missing

    monkeypatch.setattr(process_tuning.ctypes, "CDLL", no_library)
    process_tuning.keep_freed_memory()
    process_tuning.give_back_freed_memory()
    monkeypatch.setattr(process_tuning, "KEPT", -1)
    freed = process_tuning.FreedMemory()
    for _ in range(16):
        freed.bound()
