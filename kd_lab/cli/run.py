"""`kd-lab [overrides]`: runs one cell or a sweep, and prints the table."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.logging import RichHandler

from kd_lab.cli import check, path_override
from kd_lab.cli.check_settings import trust_named
from kd_lab.cli.compose import CONF, MISTAKES, mistake, register
from kd_lab.cli.hydra_state import LOGGING_AS_IT_IS
from kd_lab.core.cache import forget_inputs
from kd_lab.core.errors import FitError, GivenUp, UserError
from kd_lab.core.process_tuning import first_import, give_back_freed_memory, keep_freed_memory
from kd_lab.core.progress import console, say
from kd_lab.core.results import RunResult
from kd_lab.data import hub_revision
from kd_lab.pipeline.run_folder import ERROR, cell_lock, give_back, missing_folders
from kd_lab.sweeps import completed, launch
from kd_lab.sweeps.search.trial import Trial

_cells: list[Path] = []  # folders of the cells that ran in this process
_mistakes: list[UserError] = []  # of a single run; raised inside the job, Hydra would print a line of its own
_made: list[Path] = []  # folders that are not there before a single run, the innermost first
_failed: dict[Path, Exception] = {}  # folders of those of this process's cells that failed -> why
register()  # here, for the processes of other launchers, which import this module to find `job`


def run(overrides: Sequence[str]) -> int:
    """Runs what the overrides say, and shows what came of it.

    Returns:
        exit code: 0, or 1 where a cell failed.

    Raises:
        UserError: a mistake in the overrides, the data or the options of a single run.
    """
    logging.getLogger("kd_lab").addHandler(RichHandler(console=console, show_path=False, show_time=False))
    if not (folders := cells(overrides, job)):
        return 0  # Hydra was asked for something else, such as --cfg
    from kd_lab.cli import finish

    close = finish.close if launch.cells else finish.show_cell
    return 1 if close(folders) or launch.broken or _failed else 0


def cells(
    overrides: Sequence[str],
    task: Callable[[DictConfig], str | UserError],
    refused_if_several: UserError | None = None,
) -> list[Path]:
    """Runs the cells that the overrides say; leaves `sys.argv` and HYDRA_FULL_ERROR as Hydra needs them.

    Args:
        overrides: as on the command line, flags of Hydra among them.
        task: `job`, or `job_of_a_program`, whose loggers stay as they are.
        refused_if_several: what a line raises that asks for a sweep; None runs it.

    Returns:
        the cells' folders, each once, in order; of a sweep also those that had finished before.

    Raises:
        UserError: as in `run`.
    """
    overrides = path_override.readable(overrides)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise its complaints, to be turned into one line
    logging_as_it_is = LOGGING_AS_IT_IS if task is job_of_a_program else ()
    for kept in (_cells, _mistakes, _failed, launch.cells, launch.broken, launch.ran_now, _made):
        kept.clear()
    forget_inputs()
    completed.forget()
    register()
    alone = check.command(overrides)
    if alone is not None:
        _made.extend(missing_folders(alone))
    elif refused_if_several is not None:
        raise refused_if_several
    sys.argv = ["kd-lab", *overrides, *logging_as_it_is]
    hub_revision.forget()
    try:
        hydra.main(config_path=CONF, config_name="config", version_base="1.3")(task)()
    except MISTAKES as error:
        raise mistake(error) from error
    if _mistakes:
        raise _mistakes[0]
    for reason in dict.fromkeys(launch.broken):
        say(f"a worker was lost ({reason}): the same line again runs what is missing")
    return list(dict.fromkeys(launch.cells or _cells))


def failure_of(folder: Path) -> Exception | None:
    """What the cell that ran last in the folder failed of, where it failed in this process."""
    return _failed.get(folder)


def job(config: DictConfig) -> str | UserError:
    """One cell, in whatever process a launcher runs it.

    Returns:
        the cell's folder; or the mistake for which it has no config to record.
    """
    keep_freed_memory()
    if _cells:  # not the first of this process
        give_back_freed_memory()
    return job_of_a_program(config)


def job_of_a_program(config: DictConfig) -> str | UserError:
    """The same in a process that is somebody else's: what is for good there is the owner's to decide."""
    trust_named(OmegaConf.to_container(trusted, resolve=True) if (trusted := config.get("trust")) else None)
    hydra_config = HydraConfig.get()
    folder, alone = Path(hydra_config.runtime.output_dir), hydra_config.mode == RunMode.RUN
    overrides = launch.cell_overrides(hydra_config.overrides.task)
    completed.look_in(hydra_config.runtime.config_sources)
    number = "" if alone else f"{hydra_config.job.num + 1}. "
    say(f"{number}{config.name}/{folder.name}")
    _cells.append(folder)
    if not alone and not hydra_config.launcher._target_.endswith("BasicLauncher"):
        os.environ["TTY_COMPATIBLE"] = "0"  # bars of several processes would overwrite each other
    try:
        with cell_lock(folder):
            _work(config, folder, overrides, alone)
    except UserError as error:
        _mistakes.append(error)
        give_back(folder, _made if alone else [folder])
        return error
    return str(folder)


def _work(config: DictConfig, folder: Path, overrides: Sequence[str], alone: bool) -> None:
    """Runs the cell and records what came of it.

    Raises:
        UserError: a mistake for which nothing is recorded: that of a single run, one that left no config to record, or
            a disk that takes no record.
    """
    try:
        result = _run(config, folder, overrides)
    except OmegaConfBaseException as error:  # a missing value, a broken interpolation
        raise mistake(error) from error
    except UserError as error:
        if alone:
            raise
        _fail(config, folder, error, overrides)
    except GivenUp as told:
        _fail(config, folder, told, overrides, "pruned")
    except Exception as error:  # whatever became of this cell, the others go on
        _fail(config, folder, error, overrides)
    else:
        if result.status == "finished":
            completed.write(folder.parent, overrides, folder.name, result.fingerprint["result"])


def _run(config: DictConfig, folder: Path, overrides: Sequence[str]) -> RunResult:
    with first_import():
        from kd_lab.core import machine
        from kd_lab.pipeline import run as pipeline
        from kd_lab.training.checkpointing import ignore

    machine.limit_threads()
    return pipeline.run(config, folder, overrides, Trial(**config.search).observe if config.search else ignore)


def _fail(config: DictConfig, folder: Path, error: Exception, overrides: Sequence[str], status: str = "failed") -> None:
    from kd_lab.pipeline import run as pipeline

    result = pipeline.failed(config, folder, error, overrides, status)
    if status == "failed":
        _failed[folder] = error
    plain = isinstance(error, UserError | FitError | GivenUp)
    where = "" if plain else f" (the traceback is in {folder / ERROR})"
    say(f"{status}: {result.error}{where}")
