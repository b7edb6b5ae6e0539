"""An option that an error names works as it stands: in a shell, and as Hydra reads it."""

from __future__ import annotations

import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from kd_lab.core.as_typed import hydra_text, shell_override

NAMES = [
    "tüv.csv",
    "a=b.csv",
    "it's.csv",
    "a\\'b",
    "C:\\x\\",
    "~/b.csv",
    "x,y",
    "{q}",
    "2024",
    "null",
    "True",
    "$h (1).csv",
]


def read(override: str) -> object:
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_shell_passes_on_is_the_name(name: str) -> None:
    (typed,) = shlex.split(shell_override("dataset.path", name))
    assert read(typed) == name
    (typed,) = shlex.split(shell_override("dataset.columns", [name, "text"]))
    assert read(typed) == [name, "text"]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: "${" not in text))
def test_any_text_in_quotes_is_itself(text: str) -> None:
    assert read(f"a={hydra_text(text)}") == text


def test_plain_words_and_paths_need_no_quotes() -> None:
    assert shell_override("dataset.path", "/data/mine-2/a.csv") == "dataset.path=/data/mine-2/a.csv"
    assert shell_override("dataset.text_column", "Text") == "dataset.text_column=Text"
