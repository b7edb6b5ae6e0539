"""Memory that is freed is there for what comes next, without a fault for each of its pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from kd_lab.core import process_tuning

FAULTS = """
import resource, sys, torch
if sys.argv[1:]:
    from kd_lab.core.process_tuning import keep_freed_memory
    keep_freed_memory()
def turn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(2**24) for _ in range(4)]  # 64 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(min(turn() for _ in range(12)))  # the first ones find their places
"""


def faults(*arguments: str) -> int:
    line = [sys.executable, "-c", FAULTS, *arguments]
    return int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_kept_memory_costs_no_faults() -> None:
    assert faults() > 1000
    assert faults("keep") < 100


@pytest.mark.parametrize("missing", [AttributeError, OSError, TypeError])
def test_elsewhere_nothing_happens(missing: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: None) -> None:
        raise missing

    monkeypatch.setattr(process_tuning.ctypes, "CDLL", no_library)
    process_tuning.keep_freed_memory()
