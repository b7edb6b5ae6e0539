"""Of a batch only what is missing reaches the launcher, and what a worker leaves behind is read by its files alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from kd_lab.core import results
from kd_lab.core.cache import forget_inputs
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.data import hub_revision
from kd_lab.sweeps import completed, launch
from kd_lab.sweeps.launch import ResumingLauncher

CELLS = [["seed=0"], ["seed=1"]]
Work = Callable[[Path], Any]


def finish(folder: Path) -> str:
    """What a worker does whose cell finishes."""
    RunResult("study", folder.name, "finished", {"tracking": {}}, fingerprint={"result": "abc"}).write(folder)
    completed.write(folder.parent, [folder.name], folder.name, "abc")
    return str(folder)


def fail(folder: Path) -> str:
    """One whose cell fails; an earlier result is kept."""
    earlier = results.peek(folder)
    failed = RunResult("study", folder.name, "failed", {"tracking": {}}, error="why")
    failed.write(folder, results.FAILED if earlier else results.FILE)
    return str(folder)


class Launcher:
    """A real launcher's stand-in: it does `work` for each cell, in this process."""

    def __init__(self, study: Path, work: Work) -> None:
        self.study, self.work = study, work
        self.asked: list[Sequence[str]] = []

    def launch(self, jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        self.asked += jobs
        return [self._done(overrides) for overrides in jobs]

    def _done(self, overrides: Sequence[str]) -> JobReturn:
        job = JobReturn(status=JobStatus.COMPLETED)
        try:
            job.return_value = self.work(self.study / overrides[0])
        except OSError as error:  # a worker that was lost
            job.return_value = error
        return job


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """A new process knows no cells, and has read nothing that a stamp would hang on."""
    forget_inputs()
    hub_revision.forget()
    for kept in (launch.cells, launch.ran_now, launch.broken):
        kept.clear()
    yield
    completed._state.cache_clear()


def config(study: Path, seed: str = "") -> DictConfig:
    hydra = {"sweep": {"dir": str(study), "subdir": seed}, "runtime": {"config_sources": []}}
    return OmegaConf.create(
        {"name": "study", "tracking": {"_target_": "kd_lab.tracking.mlflow_tracking.NoTracking"}, "hydra": hydra}
    )


def remaining(study: Path, work: Work) -> tuple[ResumingLauncher, Launcher]:
    loader = SimpleNamespace(load_sweep_config=lambda whole, overrides: config(study, overrides[0]))
    chosen = Launcher(study, work)
    return ResumingLauncher(chosen, SimpleNamespace(config_loader=loader), config(study)), chosen  # type: ignore[arg-type]


def test_what_has_finished_is_not_launched_again(tmp_path: Path) -> None:
    first, _ = remaining(tmp_path, finish)
    assert [job.return_value for job in first.launch(CELLS, 0)] == [str(tmp_path / "seed=0"), str(tmp_path / "seed=1")]
    assert launch.ran_now == {tmp_path / "seed=0", tmp_path / "seed=1"}
    again, chosen = remaining(tmp_path, finish)
    assert again.unfinished(CELLS) == []
    again.launch([*CELLS, ["seed=2"]], 0)
    assert chosen.asked == [["seed=2"]]
    assert results.axes(tmp_path) == {"seed": ["0", "1", "2"]}


@pytest.mark.parametrize("name", ["result.json", "table.md"])
def test_a_cell_with_a_damaged_file_is_launched_again(tmp_path: Path, name: str) -> None:
    remaining(tmp_path, finish)[0].launch(CELLS, 0)
    folder = tmp_path / "seed=0"
    (folder / ".files.json").write_text('{"table.md": [1, 1, "digest"]}')
    if name == "result.json":
        (folder / name).write_text("{")
    again, chosen = remaining(tmp_path, finish)
    again.launch(CELLS, 0)
    assert chosen.asked == [["seed=0"]]


def test_a_failure_since_forgotten_is_none(tmp_path: Path) -> None:
    """As when code was changed, the cell failed, and the change was taken back."""
    remaining(tmp_path, finish)[0].launch(CELLS, 0)
    fail(tmp_path / "seed=1")
    again, chosen = remaining(tmp_path, finish)
    again.launch(CELLS, 0)
    assert chosen.asked == []
    assert results.attempt(tmp_path / "seed=1").status == "finished"


def test_a_cell_that_failed_did_not_finish_now(tmp_path: Path) -> None:
    remaining(tmp_path, fail)[0].launch(CELLS, 0)
    assert launch.ran_now == set()
    assert launch.cells == [tmp_path / "seed=0", tmp_path / "seed=1"]


def test_a_failure_is_not_told_as_the_result_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remaining(tmp_path, finish)[0].launch(CELLS[:1], 0)
    monkeypatch.setenv("KD_LAB_DATA", "/elsewhere")
    completed.forget()
    for _ in range(2):
        again, launcher = remaining(tmp_path, fail)
        again.launch(CELLS[:1], 0)
        assert launcher.asked == CELLS[:1], "its stamp is not taken over"
        assert results.attempt(tmp_path / "seed=0").status == "failed"
    completed.forget()


def test_a_cell_that_found_itself_finished_did_not_finish_now(tmp_path: Path) -> None:
    remaining(tmp_path, finish)[0].launch(CELLS, 0)
    launch.ran_now.clear()
    shutil.rmtree(tmp_path / completed.FOLDER)
    again, launcher = remaining(tmp_path, str)
    again.launch(CELLS, 0)
    assert launcher.asked == CELLS
    assert launch.ran_now == set()


def lost(folder: Path) -> str:
    raise ConnectionError("the worker is gone")


def test_a_lost_worker_fails_its_cell(tmp_path: Path) -> None:
    remaining(tmp_path, lost)[0].launch(CELLS, 0)
    cells = results.collect(tmp_path)
    assert [cell.status for cell in cells] == ["failed", "failed"]
    assert "its worker died or never got to it" in str(cells[0].error)
    assert launch.broken == ["ConnectionError: the worker is gone"] * 2


@pytest.mark.parametrize("clock", ["runs", "is set back"])
def test_a_worker_lost_after_its_result_has_it(tmp_path: Path, clock: str) -> None:
    def lost_after_its_result(folder: Path) -> str:
        finish(folder)
        if clock == "is set back":
            os.utime(folder / results.FILE, (1, 1))
        return lost(folder)

    remaining(tmp_path, lost_after_its_result)[0].launch(CELLS, 0)
    assert [cell.status for cell in results.collect(tmp_path)] == ["finished", "finished"]
    assert len(launch.ran_now) == 2


def test_an_earlier_result_outlives_a_lost_worker(tmp_path: Path) -> None:
    finish(tmp_path / "seed=0")
    for path in (tmp_path / completed.FOLDER).iterdir():
        path.unlink()
    remaining(tmp_path, lost)[0].launch(CELLS[:1], 0)
    assert results.read(tmp_path / "seed=0").status == "finished"
    assert results.attempt(tmp_path / "seed=0").status == "failed"


def test_a_launcher_that_dies_with_its_workers_fails_all_cells(tmp_path: Path) -> None:
    found, chosen = remaining(tmp_path, finish)
    chosen.launch = lambda jobs, first: lost(tmp_path)  # type: ignore[assignment, method-assign]
    found.launch(CELLS, 0)
    assert [cell.status for cell in results.collect(tmp_path)] == ["failed", "failed"]


def test_the_users_mistake_ends_the_sweep(tmp_path: Path) -> None:
    told = UserError("seed", expected="a number", got="x", cure="Give one.")
    with pytest.raises(UserError, match="seed: expected a number"):
        remaining(tmp_path, lambda folder: told)[0].launch(CELLS, 0)

    def refuse(jobs: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        raise told

    found, chosen = remaining(tmp_path, finish)
    chosen.launch = refuse  # type: ignore[method-assign]
    with pytest.raises(UserError, match="seed: expected a number"):
        found.launch(CELLS, 0)
    assert results.RUNNING not in os.environ


def test_a_folder_of_somebody_elses_is_refused_before_a_launcher_is_made(tmp_path: Path) -> None:
    (tmp_path / results.SWEEP).write_text("mine")
    with pytest.raises(UserError, match=r"one with sweep\.json"):
        launch.launcher(SimpleNamespace(), lambda _: None, config(tmp_path))  # type: ignore[arg-type]


def test_the_launcher_that_was_chosen_gets_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = Launcher(tmp_path, finish)
    plugins = SimpleNamespace(instantiate_launcher=lambda **_: chosen)
    monkeypatch.setattr(launch.Plugins, "instance", lambda: plugins)
    made = launch.launcher(SimpleNamespace(), lambda _: None, config(tmp_path))  # type: ignore[arg-type]
    made.setup(hydra_context=SimpleNamespace(), task_function=lambda _: None, config=config(tmp_path))  # type: ignore[arg-type]
    assert made.chosen is chosen
    made.launch(CELLS, 0)
    assert chosen.asked == CELLS


def test_a_sweep_has_a_name_of_its_own_while_its_cells_run(tmp_path: Path) -> None:
    seen: list[str] = []

    def noted(folder: Path) -> str:
        seen.append(os.environ[results.RUNNING])
        return fail(folder)

    for found in (remaining(tmp_path, noted)[0] for _ in range(2)):
        for one in CELLS:
            found.launch([one], 0)
    assert results.RUNNING not in os.environ
    assert seen[0] == seen[1] != seen[2] == seen[3]


def test_overrides_of_hydra_make_no_cell_another_one() -> None:
    assert launch.cell_overrides(["seed=1", "hydra.launcher.n_jobs=2", "+search.number=3"]) == ["seed=1"]
