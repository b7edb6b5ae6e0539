"""A sweep killed with -9, the whole process group, at random moments, and started again, loses and repeats nothing.

KD_LAB_KILLS=20 kills twenty times; KD_LAB_KILL_SEED chooses the moments.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from kd_lab.core import results
from kd_lab.core.results import RunResult

KILLS = int(os.environ.get("KD_LAB_KILLS", "3"))
LINE = shlex.split(
    "-m dataset=csv dataset.path=toy.csv name=killed model=lstm_attention model.word2vec_epochs=1 "
    "trainer.max_epochs=5 trainer.batch_size=8 trainer.patience=5 teacher.trainer.max_epochs=2 "
    "evaluation=none loss.temperature=1,2,4 seed=0,1"
)
CELLS = 6
LONGEST_S = 11.0  # from the start to the kill: some fall into the imports, most into the cells

pytestmark = [pytest.mark.slow, pytest.mark.integration]


def start(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "KD_LAB_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "kd_lab", *LINE],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def rows(folder: Path) -> dict[str, Any]:
    """What must be the same: all of a cell's result but times and where it lies."""
    found = {}
    for cell in results.collect(folder / "multirun" / "killed"):
        teacher = {key: value for key, value in cell.teacher.items() if key != "cost"}
        found[cell.cell] = [cell.status, cell.metrics, cell.fidelity, cell.history, cell.fingerprint, teacher]
    return found


def finished(folder: Path) -> dict[str, tuple[int, RunResult]]:
    cells = (folder / "multirun" / "killed").glob("*/result.json")
    return {path.parent.name: (path.stat().st_mtime_ns, results.read(path.parent)) for path in cells}


def test_a_sweep_that_is_killed_again_and_again_ends_like_one_that_was_not(tmp_path, toy_csv):
    import mlflow

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        (folder / "toy.csv").write_bytes(toy_csv.read_bytes())
    assert start(whole).wait() == 0, (whole / "log.txt").read_text()[-3000:]

    moments = random.Random(int(os.environ.get("KD_LAB_KILL_SEED", "0")))  # noqa: S311 - not for secrets
    before: dict[str, tuple[int, RunResult]] = {}
    kills, killed_at = 0, []
    while kills < KILLS:
        sweep, began = start(cut), time.monotonic()
        wait = moments.uniform(0.5, LONGEST_S)
        try:
            sweep.wait(wait)
            assert sweep.returncode == 0, (cut / "log.txt").read_text()[-3000:]
            # it got through: the next kill meets a sweep that starts from nothing but the fits' cache
            assert_none_was_repeated(before, finished(cut))
            before = {}
            for path in cut.glob("multirun/killed/*/result.json"):
                path.unlink()
            for fit in (cut / "cache" / "fit").glob("[!.]*"):
                if "lstm" in (fit / "manifest.json").read_text():
                    (fit / "manifest.json").unlink()
        except subprocess.TimeoutExpired:
            os.killpg(sweep.pid, signal.SIGKILL)
            sweep.wait()
            kills += 1
            killed_at.append(round(time.monotonic() - began, 1))
            now = finished(cut)
            assert_none_was_repeated(before, now)
            before = now
    assert start(cut).wait() == 0, (cut / "log.txt").read_text()[-3000:]
    assert_none_was_repeated(before, finished(cut))
    print(f"killed {kills} times, after {killed_at} s")

    assert rows(cut) == rows(whole)
    assert len(rows(cut)) == CELLS
    client = mlflow.MlflowClient(f"sqlite:///{cut}/multirun/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("killed").experiment_id])
    parents = [run for run in runs if "kd_lab.parent" in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(parents) == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parents[0].info.run_id}
    assert len({run.info.run_name for run in children}) == len(children) == CELLS
    assert {run.info.status for run in runs} == {"FINISHED"}
    left = [path.name for path in (cut / "cache" / "fit").iterdir() if path.name.endswith(".unfinished")]
    assert not left, "what a cut-off fit leaves is cleared once it is whole"


def assert_none_was_repeated(before: dict[str, tuple[int, RunResult]], now: dict[str, tuple[int, RunResult]]) -> None:
    """A finished cell's file is written again only where its times were taken anew, at the sweep's end."""
    for name, (written, result) in before.items():
        assert name in now, f"{name} is lost"
        if now[name][0] != written:
            assert now[name][1].durations_s == result.durations_s, f"{name} was run again"
