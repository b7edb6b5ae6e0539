"""`kd_lab.sweep`: what `kd-lab -m` does, for a program."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from quick_lines import COLUMNS, QUICK

import kd_lab
from kd_lab.__main__ import command
from kd_lab.pipeline import run as pipeline

AXES = ("name=mine", "model.hidden=4,8", "seed=0,1")
LEARNS = ("trainer.max_epochs=12", "trainer.patience=12", "optimizer.head_lr=0.03")  # more than the majority class
LINE = (*(one for one in QUICK if "hidden" not in one and "max_epochs" not in one), *LEARNS, *AXES)


def test_a_sweep_gives_its_cells_a_table_and_a_verdict_and_goes_on_where_it_was(
    toy_csv: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*LINE, "dataset=csv", f"dataset.path={toy_csv}"]
    swept = kd_lab.sweep(*line)
    assert not capsys.readouterr().out
    assert swept.folder == workplace / "multirun" / "mine"
    values = [(cell.result.config["model"]["hidden"], cell.result.config["seed"]) for cell in swept.cells]
    assert values == [(4, 0), (4, 1), (8, 0), (8, 1)]
    assert [cell.error for cell in swept.cells] == [None] * 4
    assert list(swept.table["hidden"]) == ["4", "8"]
    accuracies = [cell.metrics["test"]["accuracy"] for cell in swept.cells]
    assert sorted(swept.numbers["metrics.test.accuracy"]) == sorted(accuracies)
    assert swept.verdict.startswith("best: hidden=")
    assert swept.best is not None
    assert swept.best.predict(["we saw a lot of snow today"])[0][0] in ("animals", "food", "weather")
    shown = swept._repr_html_()
    assert shown.startswith("<table><tr><th>hidden</th>")
    assert shown.count("<tr>") == 3
    for text in (shown, repr(swept)):
        assert text.count("over 2 seeds") == 1
        assert "multirun/mine" in text

    monkeypatch.setattr(pipeline.publish, "publish", lambda *_: pytest.fail("it ran again"))
    assert [cell.result for cell in kd_lab.sweep(*line).cells] == [cell.result for cell in swept.cells]
    assert command(["-m", *line]) == 0
    assert "4 of 4 cells have finished before" in capsys.readouterr().err


def test_a_file_that_was_changed_meanwhile_is_read_again(toy_csv: Path) -> None:
    line = [*QUICK, "name=mine", "seed=0", "dataset=csv", f"dataset.path={toy_csv}"]
    names = [kd_lab.sweep(*line).cells[0].result.fingerprint["tokens"] for _ in range(2)]
    toy_csv.write_text(toy_csv.read_text() + "one more text of the user's,food\n")
    names.append(kd_lab.sweep(*line).cells[0].result.fingerprint["tokens"])
    assert names[0] == names[1] != names[2]


def test_a_cell_that_fails_carries_its_error_and_the_others_run(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pipeline.publish.publish

    count: list[Path] = []

    def first_breaks(folder: Path, fill: object) -> None:
        count.append(folder)
        if len(count) == 1:
            raise ZeroDivisionError("by nought")
        whole(folder, fill)

    monkeypatch.setattr(pipeline.publish, "publish", first_breaks)
    swept = kd_lab.sweep(*QUICK, "name=mine", "seed=0,1", train=table, **COLUMNS)
    assert [cell.error for cell in swept.cells] == ["ZeroDivisionError: by nought", None]
    with pytest.raises(kd_lab.FitError, match="has no model: it failed: ZeroDivisionError"):
        _ = swept.cells[0].model
    assert "ZeroDivisionError" in swept._repr_html_()
    assert [cell.error for cell in kd_lab.sweep(*QUICK, "name=mine", "seed=0,1", train=table, **COLUMNS).cells] == [
        None
    ] * 2


def test_a_mistake_on_an_axis_is_found_before_any_cell_runs(table: pd.DataFrame, workplace: Path) -> None:
    with pytest.raises(kd_lab.UserError, match=r"trainer.max_epochs: expected a whole number"):
        kd_lab.sweep(*QUICK, "trainer.max_epochs=1,-1", train=table, **COLUMNS)
    assert not list(workplace.glob("multirun/*/*"))
