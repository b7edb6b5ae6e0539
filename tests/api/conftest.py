"""A folder to work in, and texts of a user's own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

KINDS = {"old": "the old {} number {}", "red": "a red {} number {}", "no": "no green {} number {}"}
NOUNS = ("house", "cat", "river", "song")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results lie."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def table() -> pd.DataFrame:
    """Three classes of 48 texts each, told apart by their first words."""
    rows = [(text.format(noun, n), kind) for n in range(12) for noun in NOUNS for kind, text in KINDS.items()]
    return pd.DataFrame(rows, columns=["says", "kind"])
