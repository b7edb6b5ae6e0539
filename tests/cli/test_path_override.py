"""Names of files and columns work as typed, whatever Hydra's grammar makes of their letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_lab.cli.compose import compose
from kd_lab.cli.path_override import readable

NAMES = [
    "tüv.csv",
    "a=b.csv",
    "a&b (1) [x].csv",
    "it's.csv",
    "a b.csv",
    "{q}.csv",
    "~/base.csv",
    'say "x".csv',
    "é\\'.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_path_is_what_was_typed(name: str) -> None:
    config = compose(["dataset=csv", f"dataset.path={name}", f"dataset.label_column={name}"])
    assert (config.dataset.path, config.dataset.label_column) == (name, name)


def test_names_that_hydra_takes_for_something_else_are_files_where_there_are_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["dataset.path=x,y.csv", "dataset.path=2024"]
    assert readable(["-m", *given]) == ["-m", *given]
    for name in ("x,y.csv", "2024"):
        Path(name).touch()
    assert readable(given) == ["dataset.path='x,y.csv'", "dataset.path='2024'"]


def test_paths_of_a_sweep_are_quoted_each() -> None:
    assert readable(["-m", "dataset.path=bär.csv,b.csv"]) == ["-m", "dataset.path='bär.csv',b.csv"]


@pytest.mark.parametrize(
    "override", ["dataset.path=null", "dataset.path=${paths.data}/x", "dataset.path='it'", "seed=1", "model.x=é", "-m"]
)
def test_what_hydra_reads_and_other_options_stay(override: str) -> None:
    assert readable([override]) == [override]


@pytest.mark.parametrize(("typed", "read"), [(";", ";"), ("|", "|"), ("tab", "tab"), ("\\t", "\\t"), (",", ",")])
def test_a_delimiter_is_what_was_typed(typed: str, read: str) -> None:
    assert compose(["dataset=csv", "dataset.path=a", f"dataset.delimiter={typed}"]).dataset.delimiter == read


@pytest.mark.parametrize(
    "given",
    [
        "dataset.splits={train:a,validation:b,test:c}",
        "dataset.splits={test: c, train: a, validation: b}",
        ["dataset.splits={train: a, test: c}", "dataset.splits.validation=b"],
    ],
)
def test_splits_are_given_whole_though_no_default_has_validation(given: str | list[str]) -> None:
    line = [given] if isinstance(given, str) else given
    config = compose(["dataset=parquet", "dataset.path=there", *line])
    assert config.dataset.splits == {"train": "a", "validation": "b", "test": "c"}
