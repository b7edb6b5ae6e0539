"""A sweep killed with -9, the whole process group, at random moments, and started again, loses and repeats nothing.

KD_LAB_KILLS=20 kills twenty times; KD_LAB_KILL_SEED chooses the moments.
"""

from __future__ import annotations

import os
import random
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kd_lab.core import results
from kd_lab.core.paths import root
from kd_lab.core.results import RunResult

KILLS = int(os.environ.get("KD_LAB_KILLS", "2"))
LINE = shlex.split(
    "-m dataset=csv dataset.path=toy.csv name=killed model=lstm_attention model.word2vec_epochs=1 "
    "model.embedding=16 model.hidden=16 trainer.max_epochs=4 trainer.batch_size=8 trainer.patience=5 "
    "model@teacher.model=lstm_attention teacher.model.init=random teacher.model.embedding=16 "
    "teacher.model.hidden=16 teacher.trainer.max_epochs=2 evaluation=none loss.temperature=1,4 seed=0,1"
)
CELLS = 4
SERVER = """
import os, sys
from pathlib import Path

from matplotlib.figure import Figure

from experiments.reliability import workload

Figure.savefig = lambda self, to, **_: Path(to).write_bytes(b"x")  # a kill falls elsewhere
workload.imports()
for line in sys.stdin:
    folder = Path(line.strip())
    child = os.fork()
    os.setpgid(child, child)  # in both, so that it is done when either goes on
    if not child:
        workload.run_here(folder, sys.argv[1:], lambda: None, folder / "log.txt")
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = [pytest.mark.slow, pytest.mark.integration]


class Sweeps:
    """Starts the line in forks of a process that has loaded the libraries: a kill falls into the sweep, not into them.

    Args:
        server: reads folders, and answers each with a process and then with its exit code.
    """

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self.server = server

    def start(self, folder: Path) -> int:
        """The number of the process, which leads a group of its own."""
        assert self.server.stdin is not None
        self.server.stdin.write(f"{folder}\n".encode())
        return self._answer()

    def wait(self, longest_s: float | None = None) -> int | None:
        """The exit code of what was started last; None where it runs for longer."""
        return self._answer() if select.select([self.server.stdout], [], [], longest_s)[0] else None

    def _answer(self) -> int:
        assert self.server.stdout is not None
        return int(self.server.stdout.readline())


@contextmanager
def serving() -> Iterator[Sweeps]:
    line = [sys.executable, "-c", SERVER, *LINE]
    with subprocess.Popen(line, cwd=root(), bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        yield Sweeps(server)  # the end of what it reads is its end


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

    with serving() as sweeps:
        whole, cut = tried(sweeps, tmp_path, toy_csv)
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


def tried(sweeps: Sweeps, tmp_path: Path, toy_csv: Path) -> tuple[Path, Path]:
    """The folders of a sweep that nobody disturbed and of one that was killed."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        (folder / "toy.csv").write_bytes(toy_csv.read_bytes())
    sweeps.start(whole)
    began = time.monotonic()
    assert sweeps.wait() == 0, (whole / "log.txt").read_text()[-3000:]
    longest = time.monotonic() - began

    moments = random.Random(int(os.environ.get("KD_LAB_KILL_SEED", "1")))  # noqa: S311 - not for secrets
    before: dict[str, tuple[int, RunResult]] = {}
    kills, killed_at = 0, []
    while kills < KILLS:
        sweep, began = sweeps.start(cut), time.monotonic()
        code = sweeps.wait(moments.uniform(0.05, longest))
        if code is None:
            with suppress(ProcessLookupError):  # it may have ended just now
                os.killpg(sweep, signal.SIGKILL)
            code = sweeps.wait()
        now = finished(cut)
        assert_none_was_repeated(before, now)
        if code == 0:  # it got through: the next kill meets a sweep without results and fits
            before = {}
            for path in [*cut.glob("multirun/killed/*/result.json"), *cut.glob("cache/fit/[!.]*/manifest.json")]:
                path.unlink()
        else:
            assert code == -signal.SIGKILL, (cut / "log.txt").read_text()[-3000:]
            kills += 1
            killed_at.append((round(time.monotonic() - began, 1), len(now)))
            before = now
    sweeps.start(cut)
    assert sweeps.wait() == 0, (cut / "log.txt").read_text()[-3000:]
    assert_none_was_repeated(before, finished(cut))
    print(f"killed {kills} times, after (seconds, finished cells): {killed_at}, of {longest:.1f} s")
    return whole, cut


def assert_none_was_repeated(before: dict[str, tuple[int, RunResult]], now: dict[str, tuple[int, RunResult]]) -> None:
    """A finished cell's file is written again only where its times were taken anew, at the sweep's end."""
    for name, (written, result) in before.items():
        assert name in now, f"{name} is lost"
        if now[name][0] != written:
            assert now[name][1].durations_s == result.durations_s, f"{name} was run again"
