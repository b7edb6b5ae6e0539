"""A folder for each test of a command, and what is said there."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kd_lab.__main__ import command


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a line is typed; `toy_csv` lies there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What stderr has said since it was asked last; where its lines break is up to the terminal."""
    return lambda: " ".join(capsys.readouterr().err.split())


@pytest.fixture
def predict(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`kd-lab predict` in this process, which spares the start of one; gives what it printed, a mistake in one line."""

    def predict(model: Path, *given: str, stdin: bytes = b"", code: int = 0) -> Any:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        assert command(["predict", "--model", str(model), *given]) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert code != 2 or said.err.count("\n") == 1
        return said

    return predict
