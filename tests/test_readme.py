"""Every block of README runs: `bash` and `python` here, word for word but shortened; `console` by CI."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from kd_lab.__main__ import VERBS, command
from kd_lab.core.paths import root

README = (root() / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
LINES = [line for kind, text in BLOCKS if kind == "bash" for line in text.strip().splitlines()]
SHORTENED = (  # what is added to a line that trains, so that it takes seconds
    "trainer.max_epochs=1",
    "teacher.trainer.max_epochs=1",
    "dataset.split.limit=400",
    "evaluation=none",
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the reader's own file, and one cache for all blocks, as a reader has."""
    folder = tmp_path_factory.mktemp("readme")
    topics = {"sport": "match goal team", "food": "soup bread salt"}
    rows = [
        f"the {word} of day {day},{topic}" for day in range(20) for topic in topics for word in topics[topic].split()
    ]
    (folder / "mine.csv").write_text("Text,Label\n" + "\n".join(rows), encoding="utf-8")
    (folder / "answers.csv").write_text("text,label\n" + "\n".join(rows[::2]), encoding="utf-8")
    (folder / "more.txt").write_text("\n".join(f"some {word}" for words in topics.values() for word in words.split()))
    return folder


def run(line: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *arguments = shlex.split(line)
    assert name == "kd-lab"
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("KD_LAB_CACHE", str(workplace / "cache"))
    arguments = [re.sub(r"^([\w.]+=[^,\[(]+,[^,]+),.*$", r"\1", one) for one in arguments]  # two values an axis
    trains = not {*VERBS, "--help", "--cfg"} & set(arguments)
    fitted = "teacher=answers" not in arguments
    shortened = [one for one in SHORTENED if fitted or not one.startswith("teacher.")]
    assert command([*arguments, *(shortened if trains else ())]) == 0


@pytest.mark.parametrize("line", [line for line in LINES if "clinc" not in line])
def test_a_line_of_readme_runs(line, workplace, monkeypatch):
    run(line, workplace, monkeypatch)


@pytest.mark.shared
@pytest.mark.parametrize("line", [line for line in LINES if "clinc" in line])
def test_a_line_of_readme_with_a_real_data_set_runs(line, workplace, monkeypatch):
    run(line, workplace, monkeypatch)


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "python"])
def test_a_python_block_of_readme_runs(text, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("KD_LAB_CACHE", str(workplace / "cache"))
    exec(compile(text, "README.md", "exec"), {})  # noqa: S102 - our own text


def test_the_two_commands_are_targets_of_the_makefile():
    for line in ("make demo", "make test"):
        assert line in README
        assert subprocess.run([*line.split(), "-n"], cwd=root(), capture_output=True, check=False).returncode == 0


def test_no_block_is_left_out():
    assert {kind for kind, _ in BLOCKS} <= {"bash", "python", "console"}
    assert "```\n" not in re.sub(r"```\w*\n.*?```\n", "", README, flags=re.DOTALL)


def test_readme_names_every_choice_of_its_groups():
    for group in ("dataset", "model", "teacher", "loss"):
        [row] = [line for line in README.splitlines() if line.startswith(f"| `{group}` |")]
        for path in (root() / "conf" / group).glob("*.yaml"):
            assert path.stem in row


def test_readme_says_what_each_step_of_compression_does():
    first = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    for path in (root() / "conf" / "compression").glob("*.yaml"):
        assert any(f"`{path.stem}`" in cell for cell in first), path.stem


def test_the_demo_table_is_the_one_that_was_committed():
    table = README.partition("<!-- demo table")[2].partition("-->")[2].partition("<!-- end")[0].strip()
    assert table == (root() / "experiments" / "demo" / "table.md").read_text(encoding="utf-8").strip()
