"""`kd-lab export STUDY` takes the best finished cell by validation accuracy, and says which and why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from small_study import NAME

from kd_lab.__main__ import command
from kd_lab.cli.export_choice import best
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.models.saved_model import read_card


def cell(study: Path, name: str, accuracy: float | None, size: float = 1.0, status: str = "finished", **config: Any):
    told = {"dataset": {"name": "csv", "path": "a.csv"}, "model": {"name": "lstm_attention"}, **config}
    metrics = {"validation": {"accuracy": accuracy}, "test": {"accuracy": 1 - (accuracy or 0)}} if accuracy else {}
    error = None if status == "finished" else "it failed"
    overrides = [f"seed={name}"]
    RunResult("s", name, status, told, overrides, metrics=metrics, cost={"size_mib": size}, error=error).write(
        study / name
    )


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = tmp_path / "multirun" / "s"
    cell(folder, "a", 0.8, loss={"_target_": "x", "alpha": 0.5})
    cell(folder, "b", 0.9, size=3.0, compression={})
    cell(folder, "c", 0.9, size=2.0, compression={"prune_l1": {}, "onnx_int8": {}}, model={"name": "bert"})
    cell(folder, "d", 0.99, status="failed")
    cell(folder, "e", None)
    return folder


def test_the_best_on_validation_is_taken_and_of_equals_the_smallest(study: Path) -> None:
    name, why = best(study, "s", [])
    assert name == "c"
    assert why == "the best of 3 finished cells by validation accuracy, 90.00 %; of 2 as good the smallest"


def test_the_best_of_cells_at_the_majority_class_rate_is_said_to_be_no_better(study: Path) -> None:
    found = results.read(study / "c")
    found.metrics["validation"] |= {"accuracy_interval": [0.8, 0.95], "majority_rate": 0.9, "classes": 2}
    found.metrics["validation"]["balanced_accuracy_interval"] = [0.5, 0.5]
    found.write(study / "c")
    assert "by validation accuracy, 90.00 %, which is the majority-class rate" in best(study, "s", [])[1]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (["model=lstm_attention"], "b"),
        (["model=bert"], "c"),
        (["compression=[prune_l1,onnx_int8]"], "c"),
        (["compression=[]"], "b"),
        (["loss.alpha=.50"], "a"),
        (["seed=a"], "a"),
        (["model=lstm_attention", "model.name=lstm_attention", "seed=b"], "b"),
    ],
)
def test_options_say_of_which_cells(study: Path, settings: list[str], name: str) -> None:
    assert best(study, "s", settings)[0] == name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["model=roberta"], "model=roberta: expected model as one of bert, lstm_attention, got none of 3"),
        (["model=bert", "seed=a"], "seed=a: expected seed as one of null, got none of 1"),
        (["model"], "'model': expected OPTION=VALUE"),
    ],
)
def test_what_no_cell_has_is_one_line(study: Path, settings: list[str], words: str) -> None:
    with pytest.raises(UserError) as refused:
        best(study, "s", settings)
    assert words in str(refused.value)


def test_cells_of_several_data_sets_are_not_compared(study: Path) -> None:
    cell(study, "f", 0.95, dataset={"name": "clinc"})
    told = r"cells of one data set and split, got dataset=clinc, dataset=csv dataset.path=a.csv\. Say .* dataset=clinc,"
    with pytest.raises(UserError, match=told):
        best(study, "s", [])
    assert best(study, "s", ["dataset=clinc"])[0] == "f"


def test_nor_are_cells_of_one_name_that_were_judged_on_other_rows(tmp_path: Path) -> None:
    def data(**more: Any) -> dict[str, Any]:
        return {"name": "hub", "path": None, "split": {"seed": 0}, **more}

    cell(tmp_path / "hub", "a", 0.8, dataset=data(hub_id="a/a"))
    cell(tmp_path / "hub", "b", 0.9, dataset=data(hub_id="b/b"))
    with pytest.raises(UserError, match=r"got dataset\.hub_id=a/a, dataset\.hub_id=b/b"):
        best(tmp_path / "hub", "s", [])
    assert best(tmp_path / "hub", "s", ["dataset.hub_id=a/a"])[0] == "a"

    for seed, accuracy in enumerate((0.8, 0.9)):
        cell(tmp_path / "split", f"s{seed}", accuracy, dataset=data(split={"seed": seed}))
    with pytest.raises(UserError, match=r"got dataset\.split\.seed=0, dataset\.split\.seed=1"):
        best(tmp_path / "split", "s", [])
    assert best(tmp_path / "split", "s", ["dataset.split.seed=0"])[0] == "s0"

    for name, more in (("a", "1"), ("b", "2")):
        cell(tmp_path / "changed", name, 0.8, dataset=data())
        found = results.read(tmp_path / "changed" / name)
        found.fingerprint["test"] = more
        found.write(tmp_path / "changed" / name)
    with pytest.raises(UserError, match=r"got a file that was changed between them\. Name a cell"):
        best(tmp_path / "changed", "s", [])


def test_more_text_to_learn_from_is_ranked_with_less(tmp_path: Path) -> None:
    cell(tmp_path, "a", 0.8, dataset={"name": "csv", "transfer_path": None, "augmentation": {"factor": 0}})
    cell(tmp_path, "b", 0.9, dataset={"name": "csv", "transfer_path": "more.txt", "augmentation": {"factor": 3}})
    assert best(tmp_path, "s", [])[0] == "b"


def test_a_study_without_a_finished_cell_is_one_line(tmp_path: Path) -> None:
    cell(tmp_path, "a", 0.5, status="failed")
    with pytest.raises(UserError, match="expected a cell that finished, got none"):
        best(tmp_path, "s", [])


def test_the_command_exports_the_best_and_says_so(
    small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--to", str(tmp_path / "out"), "--multirun", str(small_study.parent)]
    assert command(["export", NAME, *given]) == 0
    said = capsys.readouterr().out.splitlines()[0]
    found = {one.cell: one.metrics["validation"]["accuracy"] for one in results.collect(small_study)}
    name = said.removeprefix(f"{NAME}/").partition(": ")[0]
    assert found[name] == max(found.values())
    assert f"the best of {len(found)} finished cells by validation accuracy, {100 * found[name]:.2f} %" in said
    assert command(["export", NAME, *given, "compression=[onnx_int8]"]) == 0
    assert "the only finished cell with compression=[onnx_int8]" in capsys.readouterr().out
    assert read_card(tmp_path / "out")["format"] == "onnx/1"
    shutil.rmtree(tmp_path / "out")
    assert command(["export", f"{NAME}/{name}", *given, "model=x"]) == 2
    assert not (tmp_path / "out").exists()
