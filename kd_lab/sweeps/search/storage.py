"""Where a search is kept: an SQL database that several processes share."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import TYPE_CHECKING

from kd_lab.core.errors import UserError

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

WAIT_S = 120  # that a process waits for another's write to an SQLite file; each takes milliseconds


def optuna_library() -> ModuleType:
    """Optuna, quiet about all that is not wrong.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "hydra/sweeper=optuna", expected="Optuna", got=str(error), cure="pip install 'kd_lab[optuna]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def open_storage(url: str, new: bool) -> RDBStorage:
    """The database at `url`, such as `sqlite:////folder/optuna.db`.

    Args:
        new: whether to make tables that are not there; of several processes only the first may.

    Raises:
        UserError: there is no such database, or it is not Optuna's.
    """
    optuna = optuna_library()
    from sqlalchemy.exc import SQLAlchemyError

    options = {"connect_args": {"timeout": WAIT_S}} if url.startswith("sqlite") else {}
    try:
        storage: RDBStorage = optuna.storages.RDBStorage(
            url, engine_kwargs=options, skip_compatibility_check=not new, skip_table_creation=not new
        )
        storage.get_all_studies()
    except (SQLAlchemyError, optuna.exceptions.OptunaError, ImportError, ValueError, RuntimeError) as error:
        raise UserError(
            "hydra.sweeper.storage",
            expected="the URL of a database for Optuna",
            got=f"{url} ({str(error).splitlines()[0]})",
            cure="Leave it out to keep an SQLite file in the study's folder.",
        ) from error
    return storage
