"""Small versions of the rows of experiments/reliability: a few trials of each, and the right verdict of a wrong one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.reliability import table
from experiments.reliability.boundaries import Act, told_apart
from experiments.reliability.result import FOLDER
from kd_lab.core.paths import root

ROWS = {
    "deaths": ("boundaries", "--every", "200"),
    "faults": ("boundaries", "--fail", "--every", "600"),
    "damage": ("damage", "--every", "30"),
    "kills": ("kills", "--kills", "1", "--only", "optuna"),
}  # kills on a grid: tests/test_kill.py
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, for interpose.c")


@pytest.mark.slow
@pytest.mark.integration
@needs_cc
@pytest.mark.parametrize("row", ROWS)
def test_a_few_trials_of_a_row_all_end_as_they_must(tmp_path: Path, row: str) -> None:
    module, *options = ROWS[row]
    line = [sys.executable, "-m", f"experiments.reliability.{module}", *options, "--to", str(tmp_path)]
    done = subprocess.run(line, cwd=root(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads((tmp_path / row / "result.json").read_text())
    assert told["wrong"] == []
    assert told["figures"]["wrong"] == 0


def test_of_writes_in_a_row_to_one_file_the_first_and_the_last_are_tried() -> None:
    acts = [Act(n, *text.split()) for n, text in enumerate(["open a", *["write a"] * 4, "write b", "rename a"])]
    assert [act.number for act in told_apart(acts)] == [0, 1, 4, 5, 6]


def test_readme_holds_the_table_that_the_results_make() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert table.placed(text) == text, "python -m experiments.reliability.table"


def test_shares_of_a_row_make_the_whole_and_fewer_are_a_sample(tmp_path: Path) -> None:
    told = json.loads((FOLDER / "deaths" / "result.json").read_text(encoding="utf-8"))
    tried = sum(told["figures"]["tried"].values())
    row = table.ROWS["faults"]
    for share in (1, 2):
        found = {**told, "command": f"python -m it --fail --share {share}/2", "wrong": [{"how": "EIO"}] * (share - 1)}
        (tmp_path / f"share-{share}-of-2.json").write_text(json.dumps(found))
        cells = table.row(row, table.told(tmp_path))
        if share == 1:
            assert cells[2].startswith(f"{tried} trials, 1 of 2 shares; acts on files: cell")
            assert cells[3:5] == ("0", "in a sample")
    assert cells[2].startswith(f"{2 * tried} trials; acts on files: cell")
    assert cells[3:5] == ("1", "**no**")
    assert cells[5].startswith("`python -m it --fail`")


def test_a_row_with_anything_wrong_is_not_called_reached() -> None:
    told: dict[str, Any] = json.loads((FOLDER / "malformed" / "result.json").read_text(encoding="utf-8"))
    right = table.row(table.ROWS["malformed"], told)
    wrong = table.row(table.ROWS["malformed"], {**told, "wrong": [{"kind": "stdin"}]})
    assert "yes" in right
    assert "**no**" in wrong
