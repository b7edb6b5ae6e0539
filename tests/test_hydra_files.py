"""What makes the tests' compositions cheap is in force: it went unnoticed once that it was not."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from kd_lab.cli.compose import compose


def test_a_file_is_parsed_once_and_what_is_composed_is_the_callers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compose(["dataset=imdb"])
    parsed: list[Any] = []
    monkeypatch.setattr(OmegaConf, "load", parsed.append)
    second = compose(["dataset=imdb"])
    assert parsed == []
    second.dataset.name = "mine"
    third = compose(["dataset=imdb"])
    assert first == third != second
