"""`kd-lab [overrides]`: runs one cell or a sweep, and prints the table."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.logging import RichHandler

from kd_lab import pipeline
from kd_lab.errors import FitError, UserError
from kd_lab.progress import console, say
from kd_lab.results import RunResult
from kd_lab.table import to_rich
from kd_lab.verbs.compose import CONF, MISTAKES, mistake, register

_cells: list[RunResult] = []  # of this command, in order; jobs of the basic launcher share the process
_mistakes: list[UserError] = []  # of a single run; raised inside the job, Hydra would print a line of its own


def run(overrides: Sequence[str]) -> int:
    """Runs what the overrides say.

    Returns:
        exit code: 0, or 1 where a cell failed.

    Raises:
        UserError: a mistake in the overrides, the data or the options of a single run.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise its complaints, to be turned into one line
    logging.getLogger("kd_lab").addHandler(RichHandler(console=console, show_path=False, show_time=False))
    register()
    sys.argv = ["kd-lab", *overrides]
    _cells.clear()
    _mistakes.clear()
    try:
        hydra.main(config_path=CONF, config_name="config", version_base="1.3")(_job)()
    except MISTAKES as error:
        raise mistake(error) from error
    if _cells:
        _show(_cells)
    if _mistakes:
        raise _mistakes[0]
    return 1 if any(cell.status == "failed" for cell in _cells) else 0


def _job(config: DictConfig) -> None:
    hydra_config = HydraConfig.get()
    folder, alone = Path(hydra_config.runtime.output_dir), hydra_config.mode == RunMode.RUN
    number = "" if alone else f"{hydra_config.job.num + 1}. "
    say(f"{number}{config.name}/{folder.name}")
    try:
        _cells.append(pipeline.run(config, folder))
    except FitError as error:
        _fail(config, folder, error)
    except (UserError, OmegaConfBaseException) as error:  # the second: a missing value, a broken interpolation
        told = error if isinstance(error, UserError) else mistake(error)
        if alone or not isinstance(error, UserError):  # without its values no cell's config can be recorded
            _leave_nothing(folder)
            _mistakes.append(told)
        else:
            _fail(config, folder, told)


def _fail(config: DictConfig, folder: Path, error: Exception) -> None:
    say(f"failed: {error}")
    _cells.append(pipeline.failed(config, folder, error))


def _leave_nothing(folder: Path) -> None:
    """Removes what Hydra wrote for a run that could not start, unless an earlier result lies there."""
    if not (folder / "result.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        if folder.parent.is_dir() and not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _show(cells: Sequence[RunResult]) -> None:
    out = Console() if sys.stdout.isatty() else Console(width=180)
    out.print(to_rich(cells, title=cells[0].name))
    folder = Path(str(cells[0].config["paths"]["multirun"])) / cells[0].name
    out.print(
        f"Results: {folder}/*/result.json. Compare the runs: kd-lab ui {cells[0].name}", soft_wrap=True, highlight=False
    )
