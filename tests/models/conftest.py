"""What tests of models are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kd_lab.__main__ import command


@pytest.fixture
def refusal(toy_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says of options that it refuses before it fits anything, on the toy data set."""
    monkeypatch.chdir(toy_csv.parent)

    def told(*options: str) -> str:
        line = ["dataset=csv", f"dataset.path={toy_csv}", "evaluation=none", "tracking=none"]
        assert command([*line, *options]) == 2
        said = capsys.readouterr().err
        assert "done fit" not in said
        assert "fit student" not in said
        return said

    return told
