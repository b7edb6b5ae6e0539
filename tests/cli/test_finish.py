"""What a killed sweep did not come to, its close, is done by the next line; what it did is not done again."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kd_lab.cli import finish
from kd_lab.core import results
from kd_lab.sweeps import launch


def test_times_are_taken_anew_where_the_sweep_was_killed_before_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "multirun" / "study"
    folders = [study / "seed=0", study / "seed=1"]
    for folder in folders:
        results.RunResult(name="study", cell=folder.name, status="finished", config={"tracking": None}).write(folder)
    told: list[list[Path]] = []
    monkeypatch.setattr(launch, "ran_now", set())
    monkeypatch.setattr(finish, "_time_again", told.append)
    monkeypatch.setattr(finish, "write", lambda multirun, name: SimpleNamespace(cells=[]))
    monkeypatch.setattr(finish, "show", lambda *_: None)
    monkeypatch.setattr(finish, "sync_with_mlflow", lambda *_: 0)

    assert finish.close(folders) is False  # no report yet: killed before
    table = study / "report" / "cells.csv"
    table.parent.mkdir()
    table.touch()
    finish.close(folders)
    then = table.stat().st_mtime_ns
    os.utime(folders[1] / results.FILE, ns=(then + 1, then + 1))
    finish.close(folders)
    launch.ran_now.add(folders[0])
    finish.close(folders)
    assert told == [folders, [], [folders[1]], folders]
