"""Cores are counted as this process may use them, not as the machine has them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd_lab.core import cores, machine
from kd_lab.evaluation import scoring
from kd_lab.evaluation.scoring import Evaluation
from kd_lab.serving import onnx_session

V2, V1 = "0::{}\n", "8:memory:/elsewhere\n3:cpu,cpuacct:{}\n"


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "GROUPS_OF_THIS", tmp_path / "self")
    monkeypatch.setattr(cores, "allowed", lambda: list(range(8)))
    return tmp_path / "cgroup"


def write(groups: Path, line: str, path: str, files: dict[str, str]) -> None:
    (groups.parent / "self").write_text(line.format(path))
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)


@pytest.mark.parametrize(
    ("line", "path", "files", "quota"),
    [
        (V2, "/", {"cpu.max": "250000 100000\n"}, 2.5),
        (V2, "/", {"cpu.max": "max 100000\n"}, None),
        (V2, "/a/b", {"cgroup.controllers": "cpu", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3.0),
        (V2, "/a/b", {"cgroup.controllers": "", "a/cpu.max": "300000 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
        (V2, "/of/the/host", {"cpu.max": "200000 100000"}, 2.0),  # a container without a namespace of its own
        (V1, "/", {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.5),
        (V1, "/", {"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, None),
        (V1, "/docker/x", {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
    ],
)
def test_the_tightest_quota_around_this_process_is_found(
    line: str, path: str, files: dict[str, str], quota: float | None, groups: Path
) -> None:
    write(groups, line, path, files)
    assert cores.quota() == quota
    assert cores.usable() == (8 if quota is None else max(1, int(quota)))


def test_without_control_groups_there_is_no_quota(groups: Path) -> None:
    assert cores.quota() is None
    assert cores.throttled_s() == 0.0


def test_cores_that_the_process_may_not_run_on_are_not_counted(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "cpu_count", lambda: 64)
    assert cores.usable() == 8
    monkeypatch.setattr(cores, "allowed", lambda: None)  # a system that does not tell
    assert cores.usable() == 64


@pytest.mark.parametrize(
    ("line", "name", "text", "seconds"),
    [
        (V2, "cpu.stat", "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n", 2.5),
        (V1, "cpu/cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 1500000000\n", 1.5),
    ],
)
def test_throttled_time_is_read_in_seconds(line: str, name: str, text: str, seconds: float, groups: Path) -> None:
    root = {"cgroup.controllers": ""} if line == V2 else {"cpu/cpu.cfs_quota_us": "-1"}
    write(groups, line, "/", {**root, name: text})
    assert cores.throttled_s() == seconds


def test_models_are_timed_and_asked_with_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """They took the machine's: 64 threads on the 3 cores of a container."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "usable", lambda: 3)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr(scoring.latency, "measure", lambda *_, **options: ({"threads": options["threads"]}, {}))
    monkeypatch.setattr(Evaluation, "_load", lambda self, tokens: None)

    class Tokens:
        max_tokens = 8

    assert Evaluation().cost(Path("a"), Tokens(), None, Tokens())[0] == {"threads": 3}  # type: ignore[arg-type]
    assert Evaluation(threads=5).threads_used == 5
    assert onnx_session._threads() == 3
    assert machine.describe_machine()["cores"] == 3


@pytest.mark.parametrize(("variable", "threads"), [(None, 1), ("2", 2)])
def test_a_cell_computes_with_no_more_threads_than_its_quota_has_cores(
    variable: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(cores, "usable", lambda: 1)
    torch.set_num_threads(2)
    try:
        machine.limit_threads()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
