"""README: what a newcomer needs in five minutes. Its blocks run in test_docs.py."""

from __future__ import annotations

import subprocess

from kd_lab.core.paths import root

README = (root() / "README.md").read_text(encoding="utf-8")
LINES = 150


def test_it_is_read_in_five_minutes():
    assert len(README.splitlines()) <= LINES, "what else is to be said belongs into docs/"


def test_the_two_commands_are_targets_of_the_makefile():
    for line in ("make demo", "make test"):
        assert line in README
        assert subprocess.run([*line.split(), "-n"], cwd=root(), capture_output=True, check=False).returncode == 0


def test_the_demo_table_is_the_one_that_was_committed():
    table = README.partition("<!-- demo table")[2].partition("-->")[2].partition("<!-- end")[0].strip()
    assert table == (root() / "experiments" / "demo" / "table.md").read_text(encoding="utf-8").strip()
