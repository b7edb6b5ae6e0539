"""Times are shared by cells of a kind unless others disturbed them, and are named by what they depend on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from kd_lab.cli.compose import compose
from kd_lab.core import cores, machine
from kd_lab.evaluation.scoring import Evaluation
from kd_lab.pipeline.cell import Cell

COUNTS = (10, 8)


class Model:
    """A classifier, as far as its cost is concerned."""

    @staticmethod
    def count_parameters() -> tuple[int, int]:
        return COUNTS


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What measurements will say of others, and at its end what they have said: each takes the first."""
    to_come: list[bool] = []
    numbers = iter(range(1, 99))

    def cost(*_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"latency_ms": {"p50": float(next(numbers))}, "contended": to_come.pop(0)}, {}

    monkeypatch.setattr(Evaluation, "cost", cost)
    monkeypatch.setattr(Cell, "read_by", lambda *_: None)
    monkeypatch.setattr(Cell, "timing_parts", {"kind": "one"})
    return to_come


def times(folder: Path, **options: Any) -> tuple[float, bool]:
    """(median, whether it was disturbed) that the next cell of the kind has."""
    own, _ = Cell(compose([])).cost(folder, Model(), None, None, **options)  # type: ignore[arg-type]
    assert (own["parameters"], own["parameters_nonzero"], own["size_mib"]) == (*COUNTS, 0.0)
    assert len(own["timing"]) == 16
    return own["latency_ms"]["p50"], own["contended"]


def test_disturbed_times_are_kept_for_no_later_cell_and_undisturbed_ones_are(
    measured: list[bool], tmp_path: Path
) -> None:
    measured += [True, True, False]
    assert [times(tmp_path) for _ in range(5)] == [(1.0, True), (2.0, True), (3.0, False), (3.0, False), (3.0, False)]
    assert measured == []


def test_disturbed_times_serve_the_cells_of_their_own_sweep(measured: list[bool], tmp_path: Path) -> None:
    """Its cells disturb each other, and it measures them anew at its end."""
    measured += [True, True, False]
    assert [times(tmp_path, sweep="a") for _ in range(2)] == [(1.0, True), (1.0, True)]
    assert times(tmp_path, sweep="b") == (2.0, True)
    assert times(tmp_path) == (3.0, False)
    assert [times(tmp_path, sweep=name) for name in "abc"] == [(3.0, False)] * 3


def test_undisturbed_times_of_a_sweep_are_kept_for_all(measured: list[bool], tmp_path: Path) -> None:
    measured += [False]
    assert times(tmp_path, sweep="a") == times(tmp_path, sweep="b") == times(tmp_path) == (1.0, False)


def test_what_was_measured_at_a_sweeps_end_is_not_measured_for_each_cell(measured: list[bool], tmp_path: Path) -> None:
    measured += [True]
    cell = Cell(compose([]))
    first = cell.cost(tmp_path, Model(), None, None)  # type: ignore[arg-type]
    assert times(tmp_path, known=first) == (1.0, True)


def _version(versions: Callable[[str], str], other: str, name: str) -> str:
    return "0" if name == other else versions(name)


@pytest.fixture
def parts(toy_csv: Path) -> Callable[[], dict[str, Any]]:
    """What the times of a cell are named by now; the texts of the usual data set depend on the packages themselves."""
    config = compose(["dataset=csv", f"dataset.path={toy_csv}", "model=lstm_attention", "teacher=none"])
    return lambda: Cell(config).timing_parts


def test_times_are_named_by_the_processor_its_usable_cores_and_what_computes(
    parts: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = parts()
    assert base == parts()
    with monkeypatch.context() as patch:
        patch.setattr(cores, "usable", lambda: 77)
        assert parts() != base
    with monkeypatch.context() as patch:
        patch.setattr(machine, "_processor", lambda: "another")
        assert parts() != base
    versions = machine.importlib.metadata.version
    for package, counts in (("torch", True), ("numpy", True), ("onnxruntime", True), ("mlflow", False)):
        with monkeypatch.context() as patch:
            patch.setattr(machine.importlib.metadata, "version", partial(_version, versions, package))
            assert (parts() != base) is counts, package


def test_threads_and_memory_of_the_process_that_asks_are_not_in_the_name(
    parts: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = parts()
    threads = torch.get_num_threads()
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: pytest.fail("asked for memory"))
    torch.set_num_threads(threads + 1)
    try:
        assert parts() == base
    finally:
        torch.set_num_threads(threads)


def test_threads_that_are_asked_for_are_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable", lambda: 2)
    named = [Cell(compose([f"evaluation.threads={threads}"])).timing_parts["asked"] for threads in ("null", 2, 1)]
    assert named[0] == named[1] != named[2]
