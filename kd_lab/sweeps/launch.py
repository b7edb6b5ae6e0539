"""Launches those cells of a sweep that have not finished before, whatever launcher was chosen."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from kd_lab.core import redact, results
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.progress import say
from kd_lab.pipeline.run_folder import LOCK, cell_lock, check_study
from kd_lab.pipeline.written_files import damaged
from kd_lab.sweeps import completed

State = tuple[tuple[int, int], ...]  # (inode, time of change in ns) of a cell's records
_PASSING = ("hydra", "search")  # overrides that do not make a cell another one
cells: list[Path] = []  # folders of the cells of this process's sweep, in order
ran_now: set[Path] = set()  # those that have finished now, not before
broken: list[str] = []  # what launchers of this process's sweep died of


def cell_overrides(overrides: Sequence[str]) -> list[str]:
    """Those overrides that make a cell what it is."""
    return [one for one in filter_overrides(overrides) if not one.lstrip("+~").startswith(_PASSING)]


def launcher(context: HydraContext, task: TaskFunction, config: DictConfig) -> ResumingLauncher:
    """What a sweeper launches its cells with.

    Raises:
        UserError: the sweep's folder is not kd_lab's.
    """
    check_study(Path(str(config.hydra.sweep.dir)))
    completed.look_in(config.hydra.runtime.config_sources)
    redact.remember(str(config.tracking.get("uri")))  # for the end of the sweep, which reads results
    chosen = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)
    return ResumingLauncher(chosen, context, config)


def claim(study: Path) -> None:
    """Marks a study's folder as kd_lab's, before anything else is written there."""
    with disk_errors(study):
        study.mkdir(parents=True, exist_ok=True)
        (study / LOCK).touch()


class ResumingLauncher(Launcher):
    """Hands the real launcher only what is not there yet, and keeps where all of it lies."""

    def __init__(self, chosen: Launcher, context: HydraContext, config: DictConfig) -> None:
        self.chosen, self.context, self.config = chosen, context, config
        self.study = Path(str(config.hydra.sweep.dir)).absolute()
        self._name = uuid4().hex
        self._known: dict[tuple[str, ...], Path] = {}  # overrides -> folder of a cell that has finished

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing: `launcher` has set up the real one."""

    def unfinished(self, job_overrides: Sequence[Sequence[str]]) -> list[Sequence[str]]:
        """The cells that are still to be run."""
        return [one for one in job_overrides if self._finished(one) is None]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs what is left of a batch.

        Args:
            job_overrides: one list of overrides a cell.
            initial_job_idx: the number of the first.

        Returns:
            for each cell a JobReturn with its folder, as text, for a value.

        Raises:
            UserError: a cell's config cannot be composed, which is so for all of them.
        """
        claim(self.study)
        results.note_axes(self.study, sys.argv[1:], [cell_overrides(one) for one in job_overrides])
        folders = [self._finished(one) for one in job_overrides]
        left = [place for place, folder in enumerate(folders) if folder is None]
        if len(left) < len(folders):
            say(f"{len(folders) - len(left)} of {len(folders)} cells have finished before")
        if left:
            self._begin()
            before = _states(self.study)
            os.environ[results.RUNNING] = self._name
            try:
                ran = self._run([job_overrides[place] for place in left], initial_job_idx, before)
            finally:
                del os.environ[results.RUNNING]
            for place, folder in zip(left, ran, strict=True):
                folders[place] = folder
                if _state(folder) is None or results.attempt(folder).status != "finished":
                    continue
                completed.adopt(self.study, cell_overrides(job_overrides[place]))
                if _state(folder) != before.get(folder.name):
                    ran_now.add(folder)
        cells.extend(folder for folder in folders if folder is not None)
        return [_returned(overrides, str(folder)) for overrides, folder in zip(job_overrides, folders, strict=True)]

    def _finished(self, overrides: Sequence[str]) -> Path | None:
        named = tuple(cell_overrides(overrides))
        if named not in self._known and (found := completed.read(self.study, named)) is not None:
            folder, fingerprint = self.study / found[0], found[1]
            result = results.peek(folder)
            same = result and (result.status, result.fingerprint.get("result")) == ("finished", fingerprint)
            if same and not damaged(folder):
                (folder / results.FAILED).unlink(missing_ok=True)  # an attempt at something else
                self._known[named] = folder
        return self._known.get(named)

    def _run(self, jobs: list[Sequence[str]], first: int, before: Mapping[str, State]) -> list[Path]:
        try:
            returned = self.chosen.launch(jobs, first)
        except UserError:
            raise
        except Exception as error:  # a worker that was killed takes its launcher with it
            returned = [_returned(overrides, error) for overrides in jobs]
        folders = []
        for overrides, job in zip(jobs, returned, strict=True):
            value = job._return_value  # `return_value` would raise what it holds, and print a line of its own
            if isinstance(value, UserError):
                raise value
            folders.append(self._lost(overrides, value, before) if isinstance(value, Exception) else Path(value))
        return folders

    def _lost(self, overrides: Sequence[str], error: Exception, before: Mapping[str, State]) -> Path:
        """A cell whose worker may be dead: its own result where it got so far, else one that says so.

        Its stamp says nothing here: the worker's machine or devices may be others than ours.
        """
        from kd_lab.core.errors import FitError
        from kd_lab.pipeline import run

        config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
        folder = self.study / str(config.hydra.sweep.subdir)
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        broken.append(reason)
        if _state(folder) != before.get(folder.name):
            return folder
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        with cell_lock(folder):
            run.failed(
                config, folder, FitError(f"its worker died or never got to it: {reason}"), cell_overrides(overrides)
            )
        return folder

    def _begin(self) -> None:
        """Makes the store and the sweep's run in this process, before others could do so at once."""
        from kd_lab.core.instantiate import build
        from kd_lab.pipeline.plan import resolved_config

        build(resolved_config(self.config.tracking), "tracking").begin(str(self.config.name))


def _states(study: Path) -> dict[str, State]:
    """Cell -> state, of those that came to anything."""
    folders = {path.parent for file in (results.FILE, results.FAILED) for path in study.glob(f"*/{file}")}
    return {folder.name: state for folder in folders if (state := _state(folder)) is not None}


def _state(folder: Path) -> State | None:
    """Which files hold what came of the cell, or None: a run replaces them. Clocks may be set back, or differ."""
    files = [folder / name for name in (results.FILE, results.FAILED)]
    found = [(status.st_ino, status.st_mtime_ns) for path in files if path.is_file() for status in [path.stat()]]
    return tuple(found) or None


def _returned(overrides: Sequence[str], value: Any) -> JobReturn:
    returned = JobReturn(overrides=cell_overrides(overrides), status=JobStatus.COMPLETED)
    returned.return_value = value
    return returned
