"""The report a class is of the best cell, names classes, and shows the worst first."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from handmade_cells import cell, first, keep

from kd_lab.core.errors import UserError
from kd_lab.report.study import class_report
from kd_lab.report.study.class_report import ClassReport, class_reports
from kd_lab.report.study.collect import study
from kd_lab.report.study.settings import settings
from kd_lab.report.study.study_report import write


@pytest.fixture
def multirun(tmp_path: Path) -> Path:
    cells = [cell(["a=1"], 0.7), cell(["a=2"], 0.9), cell(["a=3"], 0.8)]
    keep(tmp_path, cells, [first(150), first(180), None])
    card = tmp_path / "study" / "a=2" / "model" / "classifier.json"
    card.parent.mkdir()
    card.write_text(json.dumps({"format": "encoder/1", "labels": ["one", "two\n2", "three"]}))
    return tmp_path


def reports(multirun: Path, chosen: str | None = None) -> list[ClassReport]:
    return class_reports(multirun / "study", settings(study(multirun, "study")), chosen)


def test_it_is_of_the_best_cell_by_validation_accuracy_with_the_names_of_its_classes(multirun: Path) -> None:
    (found,) = reports(multirun)
    assert found.cell == "a=2"
    assert {found.name(one.number) for one in found.splits["test"]} == {"one", "two 2", "three"}
    scores = [one.f1 for one in found.splits["test"]]
    assert scores == sorted(scores)


def test_a_cell_can_be_chosen_and_without_its_model_has_numbers_for_names(multirun: Path) -> None:
    (found,) = reports(multirun, "a=1")
    assert found.cell == "a=1"
    assert found.name(1) == "1"
    with pytest.raises(UserError, match="a=9"):
        reports(multirun, "a=9")
    with pytest.raises(UserError, match="kept its answers"):
        reports(multirun, "a=3")


def test_the_file_has_all_classes_of_both_splits_and_the_screen_the_worst(multirun: Path) -> None:
    path = multirun / "study" / "a=2" / "predictions.npz"
    labels = np.repeat(np.arange(3), 4)
    said = np.where(np.arange(12) % 4 == 0, 0, labels)
    told = {"labels": labels, "predictions": said, "confidence": np.ones(12, np.float32)}
    np.savez_compressed(path, **np.load(path), **{f"validation_{name}": array for name, array in told.items()})
    report = write(multirun, "study", figures=False)
    rows = list(csv.DictReader(report.files["classes.csv"].read_text().splitlines()))
    assert [row["split"] for row in rows] == ["test"] * 3 + ["validation"] * 3
    two = next(row for row in rows if row["split"] == "validation" and row["class"] == "two 2")
    assert (float(two["recall"]), float(two["precision"]), two["support"], two["taken_for"]) == (0.75, 1.0, "4", "one")
    assert float(two["recall_low"]) < 0.75 < float(two["recall_high"])
    page = report.files["classes.md"].read_text()
    assert page.count("| two 2 |") == 2
    assert "### validation: toy, classes by F1: baseline" in page
    assert "(the best by validation accuracy)" in page
    assert page.count("Cell: a=2\n") == 2
    shown = class_report.to_rich(report.classes[0], most=2)
    assert shown.row_count == 2
    assert "the 2 worst of 3 classes of test" in class_report.summary(report.classes[0], "test", 2)


def test_a_study_that_kept_no_answers_has_no_such_files(tmp_path: Path) -> None:
    keep(tmp_path, [cell(["a=1"])], [None])
    assert "classes.md" not in write(tmp_path, "study", figures=False).files
