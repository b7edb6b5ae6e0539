"""An MLflow store: how it is reached, one process at a time where it is a file, and what is made in it once."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {  # a value that the user set in the environment stands
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's 7 keep a cell waiting for minutes when the server is away
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
PARENT = "kd_lab.parent"  # tag of a sweep's own run
log = logging.getLogger("kd_lab")


def connect(uri: str) -> MlflowClient:
    """A quiet client of the store; it makes a SQLite store that is not there yet."""
    os.environ.update({**_SETTINGS, **os.environ})
    from mlflow import MlflowClient

    for chatter in ("mlflow", "alembic"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    return MlflowClient(uri)


@dataclass(frozen=True)
class Store:
    """Where runs are kept.

    Args:
        uri: `sqlite:///FILE` or a server's `http://...`.
        artifacts: the folder for files of new experiments; a server uses its own.
    """

    uri: str
    artifacts: str

    def alone(self) -> AbstractContextManager[Any]:
        """One process at a time on a SQLite file: two that create it at once crash each other."""
        return FileLock(self._lock, timeout=600) if self._is_file else nullcontext()

    def experiment(self, client: MlflowClient, name: str) -> str:
        """The experiment's id; it is made where it is not there yet."""
        if (found := client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        place = Path(self.artifacts).resolve().as_uri() if self._is_file else None
        return str(client.create_experiment(name, place))

    def parent(self, client: MlflowClient, experiment: str, study: str) -> str:
        """The id of a sweep's own run; it is made where it is not there yet."""
        if (found := find_parent(client, experiment, study)) is not None:
            return found
        with nullcontext() if self._is_file else FileLock(self._lock, timeout=600):
            if (found := find_parent(client, experiment, study)) is not None:
                return found
            return str(client.create_run(experiment, tags={PARENT: study}, run_name=study).info.run_id)

    def forgiving(self, what: str, study: str) -> Forgiving:
        """A block in which whatever is wrong with the store costs a warning."""
        cure = f"Nothing is lost: `kd-lab report {study} --sync` catches up."
        return Forgiving(f"MLflow at {self.uri} did not take {what}", cure)

    @property
    def _is_file(self) -> bool:
        return self.uri.startswith("sqlite:///")

    @property
    def _lock(self) -> Path:
        """Beside the SQLite file, or beside the artifacts where a server keeps the runs."""
        file = Path(self.uri.removeprefix("sqlite:///")) if self._is_file else Path(self.artifacts)
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.with_name(f".{file.name}.lock")


def find_parent(client: MlflowClient, experiment: str, study: str) -> str | None:
    """The id of a sweep's own run, or None where there is none."""
    found = client.search_runs([experiment], f"tags.`{PARENT}` = '{study}'")
    return str(found[0].info.run_id) if found else None


@dataclass(frozen=True)
class Forgiving:
    """Whatever is wrong with a tracking server costs a warning: the cell's result is safe."""

    what: str
    cure: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        log.warning("%s (%s). %s", self.what, " ".join(f"{type(error).__name__}: {error}".split())[:300], self.cure)
        return True
