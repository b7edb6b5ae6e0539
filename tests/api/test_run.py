"""`kd_lab.run`: what the command line does, for a program."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from quick_lines import COLUMNS, QUICK

import kd_lab
from kd_lab.__main__ import command
from kd_lab.api.result import Run
from kd_lab.core import results
from kd_lab.pipeline import run as pipeline
from kd_lab.pipeline.cell import Cell
from kd_lab.training.lightning_module import Distillation


def test_a_run_gives_figures_a_model_and_a_table_that_shows_itself_and_prints_nothing_on_stdout(
    table: pd.DataFrame, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = kd_lab.run(*QUICK, train=table, **COLUMNS)
    said = capsys.readouterr()
    assert not said.out
    assert "runs/" in said.err
    assert ran.folder.is_relative_to(workplace / "multirun" / "runs")
    assert ran.metrics == json.loads((ran.folder / "result.json").read_text())["metrics"] == ran.result.metrics
    labels, probabilities = ran.predict(["the old cat number 3", "no green song number 1"])
    highest = float(probabilities.max())
    sure = ran.predict(["the old cat number 3", "no green song number 1"], abstain=highest)[0]
    assert sure == [said if max(row) == highest else None for said, row in zip(labels, probabilities, strict=True)]
    assert set(labels) <= {"old", "red", "no"} == set(ran.model.labels)
    assert probabilities.shape == (2, 3)
    assert np.allclose(probabilities.sum(1), 1)
    assert list(ran.table["model"]) == ["lstm_attention"]
    accuracy = f"{100 * ran.metrics['test']['accuracy']:.1f} %"
    assert accuracy in repr(ran)
    assert f"multirun/runs/{ran.folder.name}" in repr(ran)
    assert ran._repr_html_().startswith("<table><tr><th>model</th>")
    assert f"<td>{accuracy} [" in ran._repr_html_()


def test_what_has_finished_is_not_run_again_by_whichever_way(
    toy_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*QUICK, "dataset=csv", f"dataset.path={toy_csv}"]
    first = kd_lab.run(*line)
    monkeypatch.setattr(pipeline.publish, "publish", lambda *_: pytest.fail("it ran again"))
    assert kd_lab.run(*line).result == first.result
    assert command(line) == 0
    assert "lstm_attention" in capsys.readouterr().out


def test_splits_that_are_given_are_used_and_pairs_too(table: pd.DataFrame) -> None:
    table["other"] = table["says"].str.upper()
    parts = {"train": table[36:], "validation": table[:18], "test": table[18:36]}
    ran = kd_lab.run(*QUICK, **parts, **COLUMNS, pair="other")
    assert np.load(ran.folder / "predictions.npz")["labels"].shape == (18,)
    assert ran.predict(["a red cat number 1"], ["A RED CAT NUMBER 1"])[0]
    with pytest.raises(kd_lab.UserError, match="expected pairs of texts"):
        ran.predict(["a red cat number 1"])


def test_lists_are_the_same_data_set_as_a_frame_and_a_report_can_open_it_again(table: pd.DataFrame) -> None:
    ran = kd_lab.run(*QUICK, train=(list(table["says"]), list(table["kind"])))
    again = kd_lab.run(*QUICK, train=table, **COLUMNS)
    assert again.folder == ran.folder
    opened = Cell(OmegaConf.create(results.read(ran.folder).config))
    assert opened.fingerprints["result"] == ran.result.fingerprint["result"]
    assert ran.result.config["dataset"]["name"] == "frame"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["trainer.max_epochs=-1"], "trainer.max_epochs: expected a whole number from 0"),
        (["model=lstm"], "override model: expected one of .*, got lstm"),
        (["trainer.epochs=2"], "override trainer.epochs: expected an option"),
        (["seed=0,1"], r"kd_lab.run: expected one value for each option, got several for seed. kd_lab.sweep takes"),
        (["-m"], "kd_lab.run: expected overrides, each a text, got '-m'"),
        (["a=["], "overrides: expected overrides as Hydra reads them"),
        ([7], "kd_lab.run: expected overrides, each a text, got 7"),
        (["dataset=clinc"], "expected one data set, got train= and dataset=clinc"),
        (["dataset.text_column=x"], "expected a column 'x', got 'text', 'label'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    overrides: list[str], told: str, table: pd.DataFrame, workplace: Path
) -> None:
    with pytest.raises(kd_lab.UserError, match=told) as refused:
        kd_lab.run(*QUICK, *overrides, train=table, **COLUMNS)
    assert "\n" not in str(refused.value)
    assert not list(workplace.iterdir())


def test_validation_without_train_and_a_wrong_column_are_mistakes(table: pd.DataFrame) -> None:
    with pytest.raises(kd_lab.UserError, match="expected train beside test, got test alone"):
        kd_lab.run(*QUICK, test=table, **COLUMNS)
    with pytest.raises(kd_lab.UserError, match="expected train beside unlabelled"):
        kd_lab.run(unlabelled=["a text"])
    with pytest.raises(kd_lab.UserError, match="train: expected a column 'text', once, got 'says', 'kind'"):
        kd_lab.run(*QUICK, train=table)


def test_a_study_with_axes_of_its_own_is_a_sweep() -> None:
    with pytest.raises(kd_lab.UserError, match=r"expected one value for each option, got a study with axes"):
        kd_lab.run("experiments=demo")


def test_a_cell_that_fails_by_itself_raises_with_the_first_error_behind_it(
    table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, workplace: Path
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(pipeline.publish, "publish", broken)
    with pytest.raises(kd_lab.FitError, match="ZeroDivisionError: by nought") as failed:
        kd_lab.run(*QUICK, train=table, **COLUMNS)
    assert isinstance(failed.value.__cause__, ZeroDivisionError)
    (file,) = workplace.glob("multirun/runs/*/result.json")
    assert results.read(file.parent).error == str(failed.value)


def test_after_ctrl_c_the_same_call_goes_on(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    step, begun = Distillation.training_step, []

    def interrupted(self: Distillation, *arguments: object) -> object:
        begun.append(self.current_epoch)
        if begun.count(1) == 1 and begun[-1] == 1:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Distillation, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kd_lab.run(*QUICK, train=table, **COLUMNS)
    until = len(begun)
    ran = kd_lab.run(*QUICK, train=table, **COLUMNS)
    assert set(begun[until:]) == {1}, "the first epoch was kept"
    assert len(ran.result.history) == 2


def test_it_works_within_a_running_loop_as_jupyters(table: pd.DataFrame) -> None:
    async def cell() -> Run:
        return kd_lab.run(*QUICK, train=table, **COLUMNS)

    assert asyncio.run(cell()).metrics["test"]
