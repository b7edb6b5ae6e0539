"""The table of settings by data sets that `also_on` has judged."""

from __future__ import annotations

import csv
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from handmade_cells import cell
from pictures import must_be_pictures
from rich.console import Console

from kd_lab.core.results import RunResult
from kd_lab.report.figures import cross_evaluation as figure
from kd_lab.report.study.cross_evaluation import CrossEvaluation, cross_evaluation, to_csv, to_markdown, to_rich
from kd_lab.report.study.settings import settings


def judged(accuracy: float, low: float, *, by: str = "name") -> dict[str, Any]:
    high = 2 * accuracy - low
    return {
        "accuracy": accuracy,
        "accuracy_interval": [low, high],
        "balanced_accuracy_interval": [low, high],
        "majority_rate": 0.5,
        "classes": 2,
        "classes_by": by,
    }


def fitted(dataset: str, test: float, seed: int = 0, **others: dict[str, Any]) -> RunResult:
    one = cell([f"dataset={dataset}", f"seed={seed}"], test=test)
    one.metrics["also_on"] = others
    return one


@pytest.fixture
def found() -> CrossEvaluation:
    cells = [
        fitted("sst2", 0.9, rte=judged(0.52, 0.45, by="number")),
        fitted("rte", 0.6, sst2=judged(0.5, 0.48)),
        fitted("rte", 0.7, seed=1, sst2=judged(0.53, 0.51)),
    ]
    return cross_evaluation(settings(cells))


def test_each_setting_stands_beside_its_own_data_set_and_what_is_at_chance_is_marked(found: CrossEvaluation) -> None:
    assert to_markdown(found).splitlines() == [
        "| fitted as | sst2 | rte |",
        "| --- | ---: | ---: |",
        "| dataset=sst2 | **90.0 [85.1, 93.4]** | 52.0 [45.0, 59.0]* |",
        "| dataset=rte | 51.5 ± 2.1 | **65.0 ± 7.1** |",
        "",
        "- accuracy in %; marked: the data set that the setting was fitted on",
        "- *: not known to be better than always answering one class",
        "- classes of other names were matched by number",
    ]
    console = Console(width=140, file=StringIO(), record=True)
    console.print(to_rich(found))
    assert "[90.0 [85.1, 93.4]]" in console.export_text()


def test_another_data_set_of_the_same_name_has_a_column_of_its_own() -> None:
    one = fitted("csv", 0.9, csv=judged(0.55, 0.5))
    one.config["dataset"] = {"name": "csv", "path": "a.csv"}
    one.config["also_on"] = {"csv": {"name": "csv", "path": "b.csv"}}
    found = cross_evaluation(settings([one]))
    assert found.data_sets == ("csv", "csv (also_on)")
    (row,) = found.rows.values()
    assert [judgement.accuracy.mean for judgement in row.values()] == [0.9, 0.55]
    one.config["also_on"]["csv"]["path"] = "a.csv"
    found = cross_evaluation(settings([one]))
    assert found.data_sets == ("csv",)


def test_the_file_has_fractions(found: CrossEvaluation) -> None:
    rows = list(csv.DictReader(to_csv(found).splitlines()))
    assert [(row["setting"], row["judged_on"], row["own"], row["at_chance"]) for row in rows] == [
        ("dataset=sst2", "sst2", "True", "False"),
        ("dataset=sst2", "rte", "False", "True"),
        ("dataset=rte", "sst2", "False", "False"),
        ("dataset=rte", "rte", "True", "False"),
    ]
    assert float(rows[1]["accuracy"]) == 0.52


def test_a_study_without_other_data_sets_has_no_table() -> None:
    assert cross_evaluation(settings([cell(["a=1"])])) is None


def test_it_is_drawn_alike_each_time(tmp_path: Path, found: CrossEvaluation) -> None:
    must_be_pictures(figure.draw(found, tmp_path / "one"), figure.draw(found, tmp_path / "two"))
    assert figure.draw(None, tmp_path / "three") == []
