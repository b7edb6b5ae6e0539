"""What an earlier version called otherwise is still found: in a user's YAML, and in code that was saved."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from quick_lines import ALONE, EPOCH, STUDENT

from kd_lab.__main__ import command
from kd_lab.core import moved, results, signature

ROOT = Path(__file__).parents[2]


def test_every_name_leads_to_a_file_and_none_in_two_steps() -> None:
    for new in moved.MODULES.values():
        assert ROOT.joinpath(*new.split(".")).with_suffix(".py").is_file()
    assert not set(moved.MODULES) & set(moved.MODULES.values())


def test_settings_are_renewed_at_any_depth_and_what_is_not_ours_stays() -> None:
    old = {"terms": [{"_target_": "kd_lab.optimizer.AdamW"}], "x": {"_target_": "torch.optim.Adam", "lr": 1}}
    new = {"terms": [{"_target_": "kd_lab.training.optimizer.AdamW"}], "x": {"_target_": "torch.optim.Adam", "lr": 1}}
    assert moved.with_current_names(old) == new == moved.with_current_names(new)
    assert signature.exists(moved.current_name("kd_lab.evaluation.Evaluation"))


def test_a_users_own_yaml_with_an_old_name_works_and_says_the_new_one(
    toy_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(moved, "_told", set())
    (tmp_path / "mine" / "dataset").mkdir(parents=True)
    (tmp_path / "mine" / "dataset" / "own.yaml").write_text(
        "defaults: [split@split: default]\n_target_: kd_lab.data.csv.Csv\n"
        f"split: {{_target_: kd_lab.data.texts.SplitPlan}}\nname: own\npath: {toy_csv}\n"
    )
    line = ["hydra.searchpath=[file://mine]", "dataset=own", "tracking=none", *ALONE, *STUDENT, EPOCH]
    assert command(line) == 0
    told = "_target_: kd_lab.data.texts.SplitPlan is called kd_lab.data.dataset.SplitPlan now"
    assert capsys.readouterr().err.count(told) == 1
    (file,) = tmp_path.glob("multirun/*/*/result.json")
    assert results.read(file.parent).config["dataset"]["split"]["_target_"] == "kd_lab.data.dataset.SplitPlan"


@pytest.mark.parametrize("old", ["kd_lab.text_classifier", "kd_lab.errors", "kd_lab.data.texts"])
def test_code_that_was_saved_imports_by_the_old_name(old: str) -> None:
    assert importlib.import_module(old) is importlib.import_module(moved.MODULES[old])


def test_what_never_was_is_not_found_and_starting_costs_next_to_nothing() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kd_lab.nothing")
    line = "import sys, kd_lab; print(sorted(m for m in sys.modules if m.split('.')[0] in ('torch', 'rich', 'numpy')))"
    said = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
