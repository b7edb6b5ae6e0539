"""The frontier: every model of a study timed by turns, the Pareto front marked, a table and a picture."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import pytest

from kd_lab.__main__ import command
from kd_lab.evaluation import benchmark


@pytest.fixture(scope="module")
def frontier(small_study: Path) -> Path:
    line = ["report", small_study.name, "--multirun", str(small_study.parent), "--frontier", "--rounds", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "measure", partial(benchmark.measure, budget_s=0.05))
        assert command([*line, "--threads", "1"]) == 0
    return small_study / "report"


def test_every_model_and_the_teacher_are_measured_in_one_run(frontier: Path) -> None:
    found = json.loads((frontier / "frontier.json").read_text())
    rows = {row["label"]: row for row in found["rows"]}
    assert len(rows) == 5
    teacher = next(row for row in rows.values() if row["role"] == "teacher")
    assert teacher["speedup"] == 1.0
    assert teacher["smaller"] == 0.0
    for row in rows.values():
        assert row["size_mib"] > 0
        assert row["queries"]["p50"] <= row["queries"]["p95"] <= row["queries"]["p99"]
        assert row["peak_memory_mib"] > 0
    assert rows["onnx_int8"]["smaller"] > rows["onnx"]["smaller"]
    assert any("latency" in row["fronts"] for row in rows.values())
    assert any("size" in row["fronts"] for row in rows.values())


def test_the_grid_has_each_batch_and_length(frontier: Path) -> None:
    for row in json.loads((frontier / "frontier.json").read_text())["rows"]:
        assert set(row["shapes"]) == {f"{batch}x{tokens}" for batch in (1, 8, 32) for tokens in (16, 32, 128)}
        assert all(times["p50"] <= times["p95"] <= times["p99"] for times in row["shapes"].values())


def test_there_is_a_page_a_sheet_and_a_picture(frontier: Path) -> None:
    page = (frontier / "frontier.md").read_text()
    assert "trim_vocabulary + prune_heads" in page
    with (frontier / "frontier.csv").open() as file:
        assert len(list(csv.DictReader(file))) >= 5
    assert (frontier / "frontier.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (frontier / "frontier.svg").read_text()
