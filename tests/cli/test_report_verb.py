from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade_cells import cell, keep, lost

from kd_lab.cli.report import report
from kd_lab.core.errors import UserError

RIGHT = [np.arange(200) < n for n in (160, 162, 140, 138)]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    report(arguments)
    return capsys.readouterr().out


def test_with_seeds_settings_are_printed_with_verdict_failures_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [cell([f"a={a}", f"seed={s}"], 0.9 - a / 10, 0.9 - a / 10) for a in (1, 2) for s in (0, 1)]
    keep(tmp_path, [*cells, lost(["a=2", "seed=2"], "given up after 1 epoch", "pruned")], [*RIGHT, None])
    text = printed(capsys, "study", f"--multirun={tmp_path}")
    for part in ("80.0 % ± 0.0", "2 of 3", "best: a=1", "a=2,seed=2 pruned: given up after 1 epoch", "table.tex"):
        assert part in text
    assert report(["study", f"--multirun={tmp_path}", "--markdown"]) == 0
    assert "| a | seeds |" in capsys.readouterr().out


def test_without_seeds_cells_are_printed_with_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(tmp_path, [cell(["a=1"], 0.9), cell(["a=2"])], RIGHT[:2])
    text = printed(capsys, "study", f"--multirun={tmp_path}")
    assert "speed-up" in text
    assert "not distinguishable from: a=2" in text
    assert printed(capsys, "study", f"--multirun={tmp_path}", "--markdown").startswith("| model | method |")


def test_a_failed_cell_makes_the_exit_code_one_and_a_pruned_one_does_not(tmp_path: Path) -> None:
    keep(tmp_path, [cell(["a=1"]), lost(["a=2"], status="pruned")], [None, None])
    assert report(["study", f"--multirun={tmp_path}"]) == 0
    keep(tmp_path, [lost(["a=3"])], [None])
    assert report(["study", f"--multirun={tmp_path}"]) == 1


def test_classes_shows_the_worst_of_the_best_cell_or_of_the_one_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path, [cell(["a=1"], 0.9), cell(["a=2"])], RIGHT[:2])
    assert "classes by F1" not in printed(capsys, "study", f"--multirun={tmp_path}")
    text = printed(capsys, "study", f"--multirun={tmp_path}", "--classes")
    assert "(the best by validation accuracy)" in text
    assert "3 classes of test: F1" in text
    text = printed(capsys, "study", f"--multirun={tmp_path}", "--markdown", "--classes", "a=2")
    assert "(as asked for)" in text
    assert "Cell: a=2" in text
    assert "a=2" in (tmp_path / "study" / "report" / "classes.csv").read_text()


def test_classes_of_a_study_that_kept_no_answers_is_said_to_be_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(tmp_path, [cell(["a=1"])], [None])
    assert report(["study", f"--multirun={tmp_path}", "--classes"]) == 0
    assert "nothing to report of classes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "got", "cure"),
    [
        ("--check-all --against a=1", "--against", "Leave it out"),
        ("--index --check-all", "--check-all", "Leave it out"),
        ("study --list", "the name of a study", "Leave it out"),
        ("study --frontier --check", "--check", "Leave it out"),
        ("study --gate --rounds 2", "--rounds", "Add --frontier"),
        ("study --threads 1", "--threads", "Add --frontier"),
        ("study --margin 0.02", "--margin", "Add --gate"),
    ],
)
def test_an_option_that_would_not_be_followed_is_refused(line: str, got: str, cure: str) -> None:
    with pytest.raises(UserError) as caught:
        report(line.split())
    assert f"got {got}." in str(caught.value)
    assert cure in str(caught.value)
