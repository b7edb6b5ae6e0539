"""The table of speeds: every number comes from a result, and the committed table is level with those beside it."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from experiments.speed import gpu_table
from experiments.speed.result import FILE
from experiments.speed.table import BEGIN, END, HERE, placed, put, render
from experiments.speed.targets import TARGETS

README = (HERE / "README.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"python -m experiments\.speed\.(\w+)", README)))


def student(**changed: object) -> dict[str, object]:
    """A result of the benchmark `student`, as it is written."""
    spread = {"figure": "examples_per_s", "rounds": 3}
    rates = {"a": 20.0, "b": 200.0, "ours": 800.0, "bare": 820.0}
    return {
        "command": "python -m experiments.speed.student",
        "date": "2026-11-25T10:00:00+00:00",
        "benchmark": "student",
        "git_commit": "0123456789",
        "machine": {"processor": "Some processor", "cores": 2, "memory_gib": 23.4},
        "versions": {"torch": "2.13.0"},
        "medians": {side: {"examples_per_s": rate} for side, rate in rates.items()},
        "ratios": {
            "ours / a": {**spread, "median": 40.0, "low": 39.0, "high": 41.0},
            "ours / b": {**spread, "median": 4.0, "low": 3.5, "high": 4.5},
            "ours / bare": {**spread, "median": 0.9, "low": 0.8, "high": 1.0},
        },
        "figures": {},
        "contended": False,
        **changed,
    }


def lines(folder: Path, **changed: object) -> list[list[str]]:
    (folder / "student").mkdir(exist_ok=True)
    (folder / "student" / FILE).write_text(json.dumps(student(**changed)))
    return [line.strip("| ").split(" | ") for line in render(folder).splitlines() if line.startswith("| ")]


def test_a_ratio_stands_with_its_spread_its_target_and_whether_it_is_reached(tmp_path):
    _, _, a, b, bare, *_ = lines(tmp_path)
    command = "`python -m experiments.speed.student`"
    assert a[1:] == ["800 examples/s", "a: 20 examples/s", "40.00 [39.00, 41.00]", "≥ 25", "yes", command]
    assert b[3:6] == ["4.00 [3.50, 4.50]", "≥ 3 (beyond: 5)", "yes"]
    assert bare[3:6] == ["11.11 [0.00, 25.00]", "≤ 5 (beyond: 2)", "no"]  # 100 (1 / 0.9 - 1) percent


def test_beyond_and_contended_are_said(tmp_path):
    fast = {"figure": "examples_per_s", "median": 6.0, "low": 6.0, "high": 6.0, "rounds": 1}
    ratios = {"ours / a": fast, "ours / b": fast, "ours / bare": {**fast, "median": 0.99}}
    _, _, a, b, bare, *_ = lines(tmp_path, ratios=ratios, contended=True)
    assert [row[5] for row in (a, b, bare)] == ["no (contended)", "yes, beyond (contended)", "yes, beyond (contended)"]


def test_what_has_not_run_is_said_with_its_command(tmp_path):
    rows = lines(tmp_path)
    [joblib, _] = [row for row in rows if "side by side" in row[0]]
    assert joblib[1:] == [
        "not run", "a (extrapolated)", "-", "≥ 25", "-", "`python -m experiments.speed.sweep --launcher joblib`",
    ]  # fmt: skip
    assert len(rows) == 2 + len(TARGETS)


def test_the_machine_and_the_commit_are_said(tmp_path):
    lines(tmp_path)
    told = render(tmp_path).splitlines()[-1]
    assert told == "Measured on Some processor, 2 cores, 23.4 GiB, torch 2.13.0; commit 0123456, 2026-11-25: student."


def test_accuracies_stand_apart_in_points_with_an_interval(tmp_path):
    told = student(
        medians={"ours": {"accuracy": 0.86, "low": 0.85, "high": 0.87}}
        | {side: {"accuracy": 0.855, "low": 0.845, "high": 0.865} for side in ("b", "bare")}
    )
    (tmp_path / "accuracy").mkdir()
    (tmp_path / "accuracy" / FILE).write_text(json.dumps(told))
    [b] = [line for line in render(tmp_path).splitlines() if "| b: 85.5%" in line]
    assert b.strip("| ").split(" | ")[1:6] == ["86.0%", "b: 85.5%", "0.50 [-0.91, 1.91]", "≥ -1", "yes"]


def test_only_what_stands_between_the_marks_is_replaced():
    assert placed(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="expected <!-- table"):
        placed("before\nafter\n", "new\n")


def test_a_table_is_checked_without_being_written(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    monkeypatch.setattr("sys.argv", ["table"])
    put(page, "as it is")
    monkeypatch.setattr("sys.argv", ["table", "--check"])
    put(page, "as it is")
    with pytest.raises(SystemExit, match="is not what the results make"):
        put(page, "another")
    assert page.read_text(encoding="utf-8") == "as it is"


def test_the_committed_table_is_level_with_the_committed_results():
    there = README.partition(f"{BEGIN}\n")[2].partition(END)[0]
    assert there == render(HERE), "run python -m experiments.speed.table"


def test_the_committed_table_of_a_gpu_is_level_with_the_committed_results():
    there = README.partition(f"{gpu_table.BEGIN}\n")[2].partition(gpu_table.END)[0]
    assert there == gpu_table.render(HERE / "gpu"), "run python -m experiments.speed.table"


def test_what_was_measured_on_a_gpu_stands_with_its_share_of_the_matrix_rate(tmp_path):
    told = student(figures={"matrix_tflops": [700.0, 710.0], "matrix_share": {"ours": 0.05, "b": 0.011}})
    told["machine"]["device"] = "Some GPU"
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / FILE).write_text(json.dumps({**told, "rounds": [{}, {}]}))
    table = gpu_table.render(tmp_path)
    [b] = [line for line in table.splitlines() if "| b: " in line]
    command = "`python -m experiments.speed.student`"
    told_b = ["800 examples/s", "5.0 %", "b: 200 examples/s", "1.1 %", "4.00 [3.50, 4.50]", command]
    assert b.strip("| ").split(" | ")[1:] == told_b
    assert "| the teacher's outputs | not run |" in table
    assert table.endswith("bf16 matrix rate 700 and 710 TFLOP/s; rounds: 2; commit 0123456, 2026-11-25.\n")


def test_the_readme_names_every_benchmark_that_a_target_needs():
    needed = {(target.command or target.benchmark).split()[0] for target in TARGETS}
    assert needed <= set(NAMED)


@pytest.mark.parametrize("name", [name for name in NAMED if name != "table"])
def test_a_benchmark_that_the_readme_names_says_how_to_use_it(name, capsys):
    with pytest.raises(SystemExit) as ended:
        import_module(f"experiments.speed.{name}").main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: python -m experiments.speed.{name} ")
    assert "--quick" in told
