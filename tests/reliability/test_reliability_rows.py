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
    "deaths": ("boundaries", "--every", "330"),
    "faults": ("boundaries", "--fail", "--every", "930"),
    "damage": ("damage", "--every", "61"),  # odd, so that each of the four ways has its turn
    "kills": ("kills", "--kills", "1", "--only", "optuna"),
}  # kills on a grid: tests/sweeps/test_kill.py
PROCESS = """
import json, sys
from importlib import import_module
from pathlib import Path

from matplotlib.figure import Figure

from experiments.reliability import interpose

interpose.preload()  # which starts this program anew
from experiments.reliability import boundaries, kills

Figure.savefig = lambda self, to, **_: Path(to).write_bytes(b"x")  # what is tried are writes, not what is drawn
to, rows, codes = Path(sys.argv[1]), json.loads(sys.argv[2]), {}
stories, told = boundaries.stories, []
boundaries.stories = lambda _: told or told.extend(stories(to / "stories")) or told
kills.LINES["optuna"] = [word.replace("trials=6", "trials=3") for word in kills.LINES["optuna"]]
(to / "stories").mkdir()
for row, (module, *options) in rows.items():
    sys.argv[1:] = [*options, "--to", str(to)]
    try:
        import_module(f"experiments.reliability.{module}").main()
    except SystemExit as end:
        codes[row] = end.code
(to / "codes.json").write_text(json.dumps(codes))
"""
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler, for interpose.c")


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the rows, all run in one process that has loaded the libraries once, and what it said."""
    folder = tmp_path_factory.mktemp("rows")
    line = [sys.executable, "-c", PROCESS, str(folder), json.dumps(ROWS)]
    done = subprocess.run(line, cwd=root(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder, done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.integration
@needs_cc
@pytest.mark.parametrize("row", ROWS)
def test_a_few_trials_of_a_row_all_end_as_they_must(tried: tuple[Path, str], row: str) -> None:
    folder, said = tried
    assert json.loads((folder / "codes.json").read_text())[row] == 0, said
    told = json.loads((folder / row / "result.json").read_text())
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
