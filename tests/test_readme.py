"""README: what a newcomer needs in five minutes. Its blocks run in test_docs.py."""

from __future__ import annotations

import re
import subprocess

import pytest

from kd_lab.core.paths import root

README = (root() / "README.md").read_text(encoding="utf-8")
LINES = 150
DEMO = (root() / "experiments" / "demo" / "table.md").read_text(encoding="utf-8").strip()


def test_it_is_read_in_five_minutes():
    assert len(README.splitlines()) <= LINES, "what else is to be said belongs into docs/"


def test_the_two_commands_are_targets_of_the_makefile():
    for line in ("make demo", "make test"):
        assert line in README
        assert subprocess.run([*line.split(), "-n"], cwd=root(), capture_output=True, check=False).returncode == 0


def test_the_demo_table_is_the_one_that_was_committed():
    table = README.partition("<!-- demo table")[2].partition("-->")[2].partition("<!-- end")[0].strip()
    assert table == DEMO


@pytest.mark.parametrize(
    ("page", "begins"),
    [
        ("demo.md", "Made on two cores"),
        ("guides/answers_to_4_mib.md", "The LSTM's weights"),
        ("guides/own_csv_to_int8.md", "In the demo"),
    ],
)
def test_pages_quote_the_demos_table_as_it_is(page: str, begins: str):
    paragraphs = (root() / "docs" / page).read_text(encoding="utf-8").split("\n\n")
    (quoting,) = (text for text in paragraphs if text.startswith(begins))
    figures = re.findall(r"\d+\.\d+", quoting)
    assert len(figures) > 1
    assert set(figures) <= set(re.findall(r"\d+\.\d+", DEMO))
