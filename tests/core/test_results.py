"""result.json is written whole or not at all, and a file that is no result is refused."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from kd_lab.core.errors import UserError
from kd_lab.core.results import FILE, SCHEMA, SWEEP, RunResult, axes, collect, note_axes, read


def result(cell: str = "seed=0") -> RunResult:
    return RunResult(
        name="study",
        cell=cell,
        status="finished",
        config={"seed": 0, "teacher": None, "texts": "é"},
        metrics={"test": {"accuracy": 1 / 3, "accuracy_interval": [0.1, 0.6]}},
        history=[{"train/loss": 0.5}],
    )


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = result().write(tmp_path / "study" / "cell")
    assert path == tmp_path / "study" / "cell" / "result.json"
    assert read(path.parent) == result()
    assert list(path.parent.iterdir()) == [path]


def test_the_files_fields_are_those_that_others_rely_on(tmp_path: Path) -> None:
    stored = json.loads(result().write(tmp_path).read_text(encoding="utf-8"))
    promised = (
        "schema name cell status config overrides fingerprint git_commit versions machine metrics fidelity teacher cost"
        " compression"
    )
    assert set(promised.split()) | {"durations_s", "warnings", "error", "history"} == set(stored)
    assert stored["schema"] == SCHEMA


def test_a_number_that_is_none_is_refused_and_the_earlier_result_stays(tmp_path: Path) -> None:
    result().write(tmp_path)
    broken = result()
    broken.metrics["test"]["accuracy"] = float("nan")
    with pytest.raises(ValueError, match="JSON compliant"):
        broken.write(tmp_path)
    assert read(tmp_path) == result()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [FILE]


def test_a_full_disk_is_one_clear_line_and_the_earlier_result_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result().write(tmp_path)
    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(UserError, match="No space left on device") as caught:
        result("another").write(tmp_path)
    assert caught.value.where == str(tmp_path)
    assert read(tmp_path) == result()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [FILE]


@pytest.mark.parametrize(
    ("text", "got"),
    [
        (None, "no such file"),
        ("", "Expecting value"),
        ('{"schema": 1, "name":', "Expecting value"),
        ("[]", "list"),
        ('{"name": "x"}', "None"),
        ('{"schema": 99}', "99"),
        ('{"schema": 1}', "missing"),
    ],
)
def test_what_is_no_result_is_refused_by_name(tmp_path: Path, text: str | None, got: str) -> None:
    if text is not None:
        (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError) as caught:
        read(tmp_path)
    assert caught.value.where == str(tmp_path / FILE)
    assert got in caught.value.got


def test_a_field_of_a_later_version_is_passed_over(tmp_path: Path) -> None:
    path = result().write(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "carbon_g": 3}))
    assert read(tmp_path) == result()


def test_a_studys_results_come_by_cell(tmp_path: Path) -> None:
    for cell in ("seed=1", "seed=0"):
        result(cell).write(tmp_path / cell)
    (tmp_path / "model").mkdir()
    assert [found.cell for found in collect(tmp_path)] == ["seed=0", "seed=1"]


def test_lines_that_note_axes_at_once_lose_none(tmp_path: Path) -> None:
    several = multiprocessing.get_context("fork")
    start = several.Barrier(4)

    def note(line: int) -> None:
        start.wait()
        for value in range(25):
            note_axes(tmp_path, ["-m"], [[f"own{line}={value}", f"shared={line * 100 + value}"]])

    lines = [several.Process(target=note, args=(line,)) for line in range(4)]
    for line in lines:
        line.start()
    for line in lines:
        line.join()
    found = axes(tmp_path)
    assert {key: len(values) for key, values in found.items()} == {"shared": 100, **{f"own{n}": 25 for n in range(4)}}


@pytest.mark.parametrize("damaged", ["", "{", '{"axes": {"seed": 1}}'])
def test_a_damaged_list_of_axes_is_set_aside_and_made_anew_from_the_cells(
    tmp_path: Path, damaged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    note_axes(tmp_path, ["-m"], [["seed=0"], ["seed=1"]])
    assert axes(tmp_path) == {"seed": ["0", "1"]}
    for name, alpha in (("a", "0.5"), ("b", "0.5"), ("c", "1")):
        cell = result(name)
        cell.overrides = ["seed=0", f"loss.alpha={alpha}"]
        cell.write(tmp_path / name)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / FILE).write_text("no result")
    (tmp_path / SWEEP).write_text(damaged)
    note_axes(tmp_path, ["-m"], [["seed=2"]])
    assert axes(tmp_path) == {"seed": ["0", "2"], "loss.alpha": ["0.5", "1"]}
    assert (tmp_path / f"{SWEEP}.damaged").read_text() == damaged
    assert "was damaged" in capsys.readouterr().err
