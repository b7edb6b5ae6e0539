"""`dataset.transfer_path=FILE`: a student learns from text that has no labels; the teacher and what is judged stay."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from quick_lines import EPOCH, STUDENT, TEACHER, TOY

from kd_lab.__main__ import command
from kd_lab.core import results

QUICK = [*TOY, *STUDENT, EPOCH, *TEACHER]
QUICK += ["compression=[trim_vocabulary,prune_l1,torch_int8]", "compression.prune_l1.epochs=1"]


def test_a_student_learns_from_them_and_is_judged_beside_one_that_did_not(
    toy_csv: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(toy_csv.parent)
    more = [f"somebody told us of a {word} and its {word} {row}" for row in range(40) for word in ("cat", "rain")]
    rows = [line.rpartition(",")[0] for line in toy_csv.read_text().splitlines()]
    again = [f"{text.upper()} 7!" for text in rows if text.endswith("again")]  # each stands in one of the splits
    Path("more.txt").write_text("\n".join([*more, *again]))
    assert command(["-m", *QUICK, "name=both", "dataset.transfer_path=null,more.txt"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("done fit teacher") == 1
    [(twins, whole)] = re.findall(r"(\d+) of (\d+) rows without a label stand in validation or test", said)
    assert int(whole) == len(more) + len(again)
    assert 1 <= int(twins) < len(again)
    unlabelled = int(whole) - int(twins)
    assert f"129 rows of train with a label, {unlabelled} without" in said
    alone, taught = sorted(results.collect(Path("multirun/both")), key=lambda cell: cell.teacher["unlabelled"])
    assert [alone.teacher["unlabelled"], taught.teacher["unlabelled"]] == [0, unlabelled]
    for name in ("tokens", "teacher"):
        assert alone.fingerprint[name] == taught.fingerprint[name]
    for name in ("fit", "compressed", "result"):
        assert alone.fingerprint[name] != taught.fingerprint[name]
    test = [np.load(Path("multirun/both", cell.cell, "predictions.npz"))["labels"] for cell in (alone, taught)]
    assert np.array_equal(*test)
    report = Path("multirun/both/report/report.md")
    assert "transfer_path" in (report if report.exists() else Path("multirun/both/report/table.md")).read_text()
