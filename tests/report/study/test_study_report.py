from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from handmade_cells import cell, first, keep, lost

from kd_lab.core.errors import UserError
from kd_lab.evaluation.intervals import wilson
from kd_lab.report.study.study_report import StudyReport, write


@pytest.fixture
def multirun(tmp_path: Path) -> Path:
    cells = [cell([f"loss.t={t}", f"seed={s}"], 0.9 - t / 10, 0.9 - t / 10) for t in (1, 2) for s in (0, 1)]
    cells[1].metrics["test"]["accuracy"] = 0.82
    said = [first(160), first(164), first(140), first(140)]
    keep(tmp_path, [*cells, lost(["loss.t=2", "seed=2"], "a_b & 50 %\nof it")], [*said, None])
    return tmp_path


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_document_is_written_and_named(multirun: Path) -> None:
    report = write(multirun, "study", figures=False)
    assert set(report.files) == {"table.md", "table.tex", "table.csv", "cells.csv", "classes.md", "classes.csv"}
    assert all(path.parent == multirun / "study" / "report" and path.is_file() for path in report.files.values())
    assert report.best == "t=1"
    assert report.verdict.startswith("best: t=1, test accuracy 81.0 % ± 1.4 [65.1, 90.7] over 2 seeds (so few")


def test_the_tracking_store_gets_the_best_and_the_counts(multirun: Path) -> None:
    metrics = write(multirun, "study", figures=False).metrics
    half = 12.7062 * 0.01 / (0.81 * 0.19)  # t with one degree of freedom, sd / sqrt 2, on the scale of the logit
    middle = np.log(0.81 / 0.19)
    low, high = (1 / (1 + np.exp(-(middle + step))) for step in (-half, half))
    assert metrics["best/accuracy"] == pytest.approx(0.81)
    assert (metrics["best/low"], metrics["best/high"]) == pytest.approx((low, high), abs=1e-5)
    assert (metrics["cells/finished"], metrics["cells/failed"], metrics["cells/pruned"]) == (4, 1, 0)
    assert (metrics["settings/tried"], metrics["settings/indistinguishable"]) == (2, 0)


def test_with_one_seed_the_interval_is_that_of_the_rows(tmp_path: Path) -> None:
    cells = [cell(["a=1"], test=0.8), cell(["a=2"], 0.5, 0.5), cell(["a=3"], 0.7, 0.79)]
    keep(tmp_path, cells, [first(160), first(100), first(158)])
    report = write(tmp_path, "study", figures=False)
    assert (report.metrics["settings/tried"], report.metrics["settings/indistinguishable"]) == (3, 1)
    assert (report.metrics["best/low"], report.metrics["best/high"]) == wilson(160, 200)
    assert table(report.files["table.csv"])[0]["test_accuracy.interval"] == "rows"


def test_the_settings_table_has_unrounded_numbers(multirun: Path) -> None:
    one, two = table(write(multirun, "study", figures=False).files["table.csv"])
    assert (one["loss.t"], one["seeds"], one["failed"], one["best"]) == ("1", "2", "0", "1")
    assert (two["loss.t"], two["seeds"], two["failed"], two["best"]) == ("2", "2", "1", "0")
    assert float(one["test_accuracy.mean"]) == (0.8 + 0.82) / 2
    assert float(one["test_accuracy.sd"]) == np.std([0.8, 0.82], ddof=1)
    assert float(one["cost.latency_ms.p50.mean"]) == 2.25
    assert float(two["against_best.difference"]) == pytest.approx(0.11)
    assert 0 < float(two["against_best.p"]) <= float(two["against_best.p_corrected"]) <= 1
    assert one["against_best.p"] == ""


def test_the_cells_table_has_every_number_of_every_cell(multirun: Path) -> None:
    cells = table(write(multirun, "study", figures=False).files["cells.csv"])
    assert [(row["loss.t"], row["seed"], row["status"]) for row in cells] == [
        ("1", "0", "finished"),
        ("1", "1", "finished"),
        ("2", "0", "finished"),
        ("2", "1", "finished"),
        ("2", "2", "failed"),
    ]
    assert cells[1]["metrics.test.accuracy"] == "0.82"
    assert (cells[4]["metrics.test.accuracy"], cells[4]["error"]) == ("", "a_b & 50 % of it")


def test_markdown_names_what_failed_and_why(multirun: Path) -> None:
    text = write(multirun, "study", figures=False).files["table.md"].read_text()
    assert "| t | seeds | test accuracy |" in text
    assert "| 1 | 2 | 81.0 % ± 1.4 [65.1, 90.7] | best |" in text
    assert "| 2 | 2 of 3 |" in text
    assert "- loss.t=2,seed=2 failed: a_b & 50 % of it\n" in text


def test_latex_is_escaped_and_every_row_has_every_column(tmp_path: Path) -> None:
    keep(tmp_path, [cell(["model=a_b"]), cell(["model=c&[d]"])], [first(160), first(150)])
    text = write(tmp_path, "study", figures=False).files["table.tex"].read_text()
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert text.splitlines()[0].startswith("% best: ")
    assert r"\begin{tabular}{lrrrrrrrr}" in text
    assert body[1].startswith(r"a\_b & 1 & 80.0 \% {[}73.9, 85.0{]} & best &")
    assert body[2].startswith(r"c\&{[}d{]} & ")
    assert {line.replace(r"\&", "").count("&") for line in body} == {8}


def test_the_figures_are_among_the_files(multirun: Path) -> None:
    files = write(multirun, "study").files
    assert "pareto.png" in files
    assert all(path.is_file() for path in files.values())


def test_a_study_of_one_cell_has_a_report(tmp_path: Path) -> None:
    keep(tmp_path, [cell([])], [None])
    report = write(tmp_path, "study")
    assert report.verdict == "test accuracy 80.0 % [73.9, 85.0], one seed"
    assert report.best == "study"


def test_a_study_in_which_all_failed_has_a_report(tmp_path: Path) -> None:
    keep(tmp_path, [lost(["a=1"]), lost(["a=2"])], [None, None])
    report = write(tmp_path, "study")
    assert (report.verdict, report.best) == ("", None)
    assert report.metrics["cells/failed"] == 2


def test_damaged_predictions_are_one_clear_line(multirun: Path) -> None:
    path = multirun / "study" / "loss.t=1,seed=0" / "predictions.npz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"predictions\.npz"):
        write(multirun, "study", figures=False)


def test_hundreds_of_cells_are_reported_in_seconds_not_minutes(tmp_path: Path) -> None:
    """Of its own time on the processor, which others lengthen little."""
    draw = np.random.default_rng(0)
    cells = [cell([f"a={a}", f"seed={s}"], 0.8 + a / 1e4, 0.8) for a in range(250) for s in (0, 1)]
    for one in cells:
        one.history = [{"train/loss": 0.1, "validation/accuracy": 0.2}] * 10
        one.metrics["test"] |= {f"number_{place}": 0.5 for place in range(10)}
    keep(tmp_path, cells, [draw.random(5500) < 0.8 for _ in cells])
    start = time.process_time()
    report: StudyReport = write(tmp_path, "study", figures=False)
    assert time.process_time() - start < 8
    assert report.metrics["settings/tried"] == 250
