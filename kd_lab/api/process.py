"""What a run changes of the process that calls it, and what is put back when it has ended."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import RLock

from kd_lab.core import trust
from kd_lab.core.errors import disk_error
from kd_lab.core.process_tuning import set_variables

_VARIABLES = ("HYDRA_FULL_ERROR", "TTY_COMPATIBLE", "KD_LAB_SWEEP")  # that a run sets for itself
_one_at_a_time = RLock()  # what is put back is the process's, whichever thread asks


@contextmanager
def process_kept() -> Iterator[None]:
    """Within it cells may be run; after it, also after an error or Ctrl-C, the process is as it was.

    That is: `sys.argv`, the working folder, whom it trusts, Hydra and its resolvers, loggers, warnings, torch's threads
    and what `process_settings_kept` names. What stays are libraries that were imported, and the variables in the
    environment that torch reads then. Two threads run one after the other.

    Raises:
        UserError: a disk failed.
    """
    with _one_at_a_time, ExitStack() as kept:
        if "torch" not in sys.modules:
            set_variables()
        import torch  # before `first_import`, which would take all that the program holds out of garbage collection

        from kd_lab.cli.hydra_state import hydra_state_kept
        from kd_lab.core.process_settings import process_settings_kept

        kept.callback(_set_threads, torch.get_num_threads())
        kept.callback(os.chdir, os.getcwd())
        kept.callback(setattr, sys, "argv", sys.argv)
        kept.callback(trust.trust_packages, ())
        kept.enter_context(_variables_kept())
        kept.enter_context(_loggers_kept())
        kept.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="IProgress not found")  # of tqdm, of which no bar is shown
        kept.enter_context(process_settings_kept())
        kept.enter_context(hydra_state_kept())
        try:
            yield
        except OSError as error:
            told = disk_error(error, str(error.filename or "disk"))
            if told is None:
                raise
            raise told from error


def _set_threads(number: int) -> None:
    import torch

    if torch.get_num_threads() != number:
        torch.set_num_threads(number)


@contextmanager
def _variables_kept() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _VARIABLES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _loggers_kept() -> Iterator[None]:
    """Shows kd_lab's warnings meanwhile, as the command line does, where the program does not show them itself."""
    from rich.logging import RichHandler

    from kd_lab.core.progress import console

    named = list(map(logging.getLogger, logging.root.manager.loggerDict))
    before = [(one, one.level, list(one.handlers)) for one in (logging.root, *named, logging.getLogger("kd_lab"))]
    ours = logging.getLogger("kd_lab")
    if not ours.hasHandlers():
        ours.addHandler(RichHandler(console=console, show_path=False, show_time=False))
    try:
        yield
    finally:
        for logger, level, handlers in before:
            if logger.level != level:  # setting it empties what every logger remembers
                logger.setLevel(level)
            logger.handlers[:] = handlers
