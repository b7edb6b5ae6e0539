"""An MLflow store: how it is reached, and what is made in it once."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from kd_lab.core.drafts import abandoned, temporary_folder
from kd_lab.core.progress import say
from kd_lab.tracking.mlflow_address import is_server, sqlite_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT, STUDY = "kd_lab.parent", "kd_lab.study"  # tags: of a sweep's own run; of every run
WAIT_S = 120  # that a process waits for another that writes to the same SQLite file
_SETTINGS = {  # a value that the user set in the environment stands
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's 7 keep a cell waiting for minutes when the server is away
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_ANSWERS_S = 5  # within which a server must answer at all


def connect(uri: str) -> MlflowClient:
    """A quiet client of the store; it makes a SQLite store that is not there yet.

    Raises:
        ConnectionError: a server that does not answer within seconds.
    """
    os.environ.update({**_SETTINGS, **os.environ})
    from mlflow import MlflowClient

    for chatter in ("mlflow", "alembic"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a traceback of what we tell in a line
    file = sqlite_file(uri)
    if file is not None and "?" not in uri and ":" not in file.name and file.parent.is_dir() and not file.exists():
        _make_database(file)
    client = MlflowClient(uri)
    if is_server(uri):
        _reach(client, uri)
    return client


def _make_database(file: Path) -> None:
    """MLflow's tables in a file that is whole before it has its name.

    They take some seconds, and where a process is killed meanwhile, MLflow never opens what it left.
    """
    import sqlalchemy
    from mlflow.store.db.utils import _initialize_tables  # `mlflow db upgrade` is the public way: a process more

    start = f".{file.name}.draft-"
    for left in abandoned(file.parent, start):
        shutil.rmtree(left, ignore_errors=True)
    with temporary_folder(file.parent, start) as folder:
        engine = sqlalchemy.create_engine(f"sqlite:///{folder / file.name}")
        _initialize_tables(engine)
        engine.dispose()
        try:
            os.link(folder / file.name, file)
        except FileExistsError:  # another was faster
            pass
        except OSError:  # a file system without links
            if not file.exists():
                os.replace(folder / file.name, file)


@dataclass(frozen=True)
class Store:
    """Where runs are kept.

    Args:
        uri: `sqlite:///FILE` or a server's `http://...`.
        artifacts: the folder for files of new experiments; a server uses its own.
    """

    uri: str
    artifacts: str

    def exclusive(self) -> AbstractContextManager[Any]:
        """One process at a time on a SQLite file: two that create it at once crash each other."""
        return nullcontext() if sqlite_file(self.uri) is None else FileLock(self._lock, timeout=WAIT_S)

    def experiment(self, client: MlflowClient, name: str) -> str:
        """The experiment's id; it is made where it is not there yet, and brought back where it was deleted."""
        found = client.get_experiment_by_name(name)
        if found is None:
            place = None if is_server(self.uri) else Path(self.artifacts).resolve().as_uri()
            return str(client.create_experiment(name, place))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
            say(f"MLflow: the experiment {name} had been deleted; it is back, with its runs")
        return str(found.experiment_id)

    def parent(self, client: MlflowClient, experiment: str, study: str) -> str:
        """The id of a sweep's own run; it is made where it is not there yet, and brought back where it was deleted."""
        if (found := find_parent(client, experiment, study)) is not None:
            return found
        with nullcontext() if sqlite_file(self.uri) is not None else FileLock(self._lock, timeout=WAIT_S):
            if (found := find_parent(client, experiment, study)) is not None:
                return found
            for run in runs_of(client, experiment, f"tags.`{PARENT}` = {quoted(study)}"):  # only deleted ones are left
                client.restore_run(run.info.run_id)
                say(f"MLflow: the run of the sweep {study} had been deleted; it is back")
                return str(run.info.run_id)
            tags = {PARENT: study, STUDY: study}
            return str(client.create_run(experiment, tags=tags, run_name=study).info.run_id)

    @property
    def _lock(self) -> Path:
        """Beside the SQLite file, or beside the artifacts where a server keeps the runs."""
        file = sqlite_file(self.uri) or Path(self.artifacts)
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.with_name(f".{file.name}.lock")


def find_parent(client: MlflowClient, experiment: str, study: str) -> str | None:
    """The id of a sweep's own run, or None where there is none that is not deleted."""
    found = client.search_runs([experiment], f"tags.`{PARENT}` = {quoted(study)}")
    return str(found[0].info.run_id) if found else None


def runs_of(client: MlflowClient, experiment: str, condition: str = "") -> list[Run]:
    """All runs of an experiment under a condition, those that are not deleted first."""
    from mlflow.entities import ViewType

    found: list[Run] = []
    page: str | None = None
    while page != "":
        runs = client.search_runs([experiment], condition, ViewType.ALL, max_results=1000, page_token=page)
        found += runs
        page = runs.token or ""
    return sorted(found, key=lambda run: str(run.info.lifecycle_stage))  # "active" before "deleted"


def quoted(text: str) -> str:
    """A text as MLflow's conditions hold it."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def _reach(client: MlflowClient, uri: str) -> None:
    """Asks a server for a sign of life: MLflow itself would try again and again, each time for half a minute."""
    from mlflow.utils.rest_utils import http_request

    store = client._tracking_client.store  # the client has no way of its own to tell its credentials
    try:
        http_request(store.get_host_creds(), "/health", "GET", timeout=_ANSWERS_S, max_retries=0, raise_on_status=False)
    except Exception as error:  # MLflow wraps whatever its HTTP library raises
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise ConnectionError(f"no answer within {_ANSWERS_S} s: {told}") from error
