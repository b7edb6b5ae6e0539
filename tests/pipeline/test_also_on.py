"""`also_on=[...]`: a fitted model is judged on other data sets too, as it would be deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from quick_lines import ALONE

from kd_lab.__main__ import command
from kd_lab.api.load import load
from kd_lab.cli.compose import compose
from kd_lab.core.results import read
from kd_lab.pipeline.plan import Plan

LINE = [
    *("model=lstm_attention", "model.init=random", "model.hidden=16", "evaluation=none", "tokenizer.max_tokens=16"),
    *("trainer.max_epochs=20", "trainer.batch_size=8", "trainer.patience=20", "tracking=none", *ALONE),
]


@pytest.fixture
def files(tmp_path: Path, toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The toy data set, two of its classes in another order, and two classes of other names."""
    monkeypatch.chdir(tmp_path)
    table = pd.read_csv(toy_csv)
    names = sorted(table["label"].unique())
    two = table[table["label"] != names[0]].iloc[::-1]
    two.to_csv(tmp_path / "two.csv", index=False)
    table.replace({"label": dict(zip(names, ("x", "y", "z"), strict=True))}).to_csv(tmp_path / "xyz.csv", index=False)
    table[table["label"] != names[0]].replace({"label": {names[1]: "yes"}}).to_csv(tmp_path / "no.csv", index=False)
    return {name: tmp_path / f"{name}.csv" for name in ("toy", "two", "xyz", "no")}


def line(files: dict[str, Path], other: str, *more: str) -> list[str]:
    return ["dataset=csv", f"dataset.path={files['toy']}", "also_on=[csv]", f"also_on.csv.path={files[other]}", *more]


@pytest.mark.parametrize(("compression", "other"), [("[]", "two"), ("[trim_vocabulary,onnx_int8]", "xyz")])
def test_its_figures_there_are_those_of_the_model_that_is_shipped(
    files: dict[str, Path], compression: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*line(files, other), *LINE, f"compression={compression}", "name=a"]) == 0
    (folder,) = (path.parent for path in Path("multirun/a").glob("*/result.json"))
    found = read(folder).metrics["also_on"]["csv"]
    config = compose([*line(files, other), *LINE])
    texts = Plan(config).also_on["csv"].load()
    test = texts.splits["test"]
    said = load(folder / "model").predict(list(test.texts))[0]
    gold = [texts.classes[label] for label in test.labels]
    if other == "xyz":
        names = sorted(pd.read_csv(files["toy"])["label"].unique())
        gold = [names[("x", "y", "z").index(label)] for label in gold]
    right = sum(one == its for one, its in zip(said, gold, strict=True))
    assert found["rows"] == len(gold)
    assert found["accuracy"] == pytest.approx(right / len(gold))
    assert found["accuracy"] > 0.8
    assert ("taken by number" in capsys.readouterr().err) == (other == "xyz")


def test_pairs_of_texts_are_judged_by_a_model_of_single_ones_with_a_warning(files: dict[str, Path]) -> None:
    table = pd.read_csv(files["toy"])
    table.assign(other=table["text"].iloc[::-1].to_numpy()).to_csv("pairs.csv", index=False)
    also = ["also_on=[csv]", "also_on.csv.path=pairs.csv", "also_on.csv.pair_column=other", "name=p"]
    assert command(["dataset=csv", f"dataset.path={files['toy']}", *LINE, "trainer.max_epochs=1", *also]) == 0
    (folder,) = (path.parent for path in Path("multirun/p").glob("*/result.json"))
    told = "also_on.csv: it has pairs of texts, and the model is fitted on single ones"
    assert told in read(folder).warnings


def test_it_is_in_the_results_name_and_in_no_other(files: dict[str, Path]) -> None:
    def names(*more: str) -> dict[str, str]:
        return Plan(compose(["dataset=csv", f"dataset.path={files['toy']}", *LINE, *more])).fingerprints

    alone = names()
    other = names("also_on=[csv]", f"also_on.csv.path={files['two']}")
    assert {name for name in alone if alone[name] != other[name]} == {"result"}
    files["two"].write_text(files["two"].read_text() + "one more,here\n")
    assert names("also_on=[csv]", f"also_on.csv.path={files['two']}")["result"] != other["result"]


def test_other_classes_are_refused_before_any_fit(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*line(files, "no"), *LINE]) == 2
    said = capsys.readouterr().err
    assert "also_on.csv: expected a data set with classes of the model's" in said
    assert "fit student" not in said
    assert not list(Path().glob("multirun/**/result.json"))


def test_a_sweep_over_data_sets_ends_in_one_table(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    axis = f"dataset.path={files['toy']},{files['xyz']}"
    both = ["also_on=[csv]", f"also_on.csv.path={files['toy']}", f"paths.cache={Path('cache').resolve()}"]
    assert command(["-m", "dataset=csv", axis, *both, *LINE, "trainer.max_epochs=1", "name=b"]) == 0
    report = Path("multirun/b/report")
    rows = (report / "cross.csv").read_text().splitlines()
    assert len(rows) == 1 + 3, "each on its own, and the one on the other's"
    assert (report / "cross.png").is_file()
    assert "accuracy on each data set" in " ".join(capsys.readouterr().out.split())
    found: dict[str, Any] = json.loads(next(Path("multirun/b").glob("*/result.json")).read_text())
    assert set(found["config"]["also_on"]) == {"csv"}
