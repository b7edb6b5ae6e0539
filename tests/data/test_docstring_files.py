"""Packages are read in processes of their own, and say what this one would have read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kd_lab.data import docstring_files
from kd_lab.data.docstring_files import LibraryQuery, read, read_all

MASKING = ("alib|blib", "[MASK]")
KEY, TEXT = "mask gives the number that follows three in", "[MASK] gives the number that follows 3 in a row."


@pytest.fixture
def asked(tmp_path: Path) -> list[LibraryQuery]:
    found = []
    for name in ("alib", "blib"):
        (tmp_path / name).mkdir()
        text = f"{name.title()} gives the number that follows 3 in a row."
        same = text.replace("row", "queue at the till")
        code = f'"""{text}"""\ndef f():\n    """{same}\n\n    More of it."""\ndef g():\n    """{same} Déjà vu."""\n'
        (tmp_path / name / "code.py").write_text(code.replace("3", "three"), encoding="utf-8")
        found.append(LibraryQuery(tmp_path / name, 10, 3, 24, MASKING))
    return found


def test_what_another_process_reads_is_what_this_one_would(
    asked: list[LibraryQuery], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [read(one) for one in asked]
    assert expected == [[(KEY, TEXT.replace("3", "three"))]] * 2
    monkeypatch.setattr(docstring_files, "read", None)  # this process is not asked
    for processes in (0, 1, 3):
        assert read_all(asked, processes) == expected


@pytest.mark.parametrize("python", ["", "/no/such/python", "/bin/true", "/bin/false"])
def test_where_no_process_can_be_had_the_packages_are_read_in_this_one(
    asked: list[LibraryQuery], python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    assert read_all(asked, 2) == [read(one) for one in asked]


def test_a_process_imports_nothing_from_the_working_folder(
    asked: list[LibraryQuery], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ast.py").write_text("raise SystemExit('a file of the user')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(docstring_files, "read", None)
    assert len(read_all(asked, 2)) == 2


def test_no_more_files_are_read_than_are_asked_for(asked: list[LibraryQuery]) -> None:
    folder = asked[0].folder
    for number in ("one", "two", "six"):
        (folder / f"{number}.py").write_text(f'"""Text number {number} of three that differ."""\n')
    assert len(read(asked[0])) == 4
    assert read(asked[0]._replace(enough=2)) == read(asked[0])[:2]
