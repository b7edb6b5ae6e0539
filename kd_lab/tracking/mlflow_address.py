"""Where runs go: the address of an MLflow store, as an option, the environment or a result gives it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kd_lab.core import redact
from kd_lab.core.errors import UserError

URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"  # MLflow's own variables, followed by conf/tracking
PASSED_OVER = {  # MLflow's own variables that are not followed -> why
    "MLFLOW_EXPERIMENT_ID": f"name the experiment by tracking.experiment or {EXPERIMENT}",
    "MLFLOW_RUN_ID": "every cell has a run of its own",
}
_FILE = re.compile(r"sqlite(?:\+\w+)?:///")


def default_uri(multirun: str) -> str:
    """The store where `tracking.uri` is not given: what MLFLOW_TRACKING_URI names, else a file in `multirun`."""
    return os.environ.get(URI) or file_uri(multirun)


def file_uri(multirun: str) -> str:
    """The store that lies beside the results."""
    return f"sqlite:///{multirun}/mlflow.db"


def default_experiment() -> str | None:
    """The experiment where `tracking.experiment` is not given: what MLFLOW_EXPERIMENT_NAME says, if anything."""
    return os.environ.get(EXPERIMENT) or None


def live_uri(uri: str, study: str) -> str:
    """The address with its credentials, which no result keeps.

    Raises:
        UserError: they are not known in this process.
    """
    found = redact.live(uri, URI)
    if found is None and any(os.environ.get(name) for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")):
        found = uri.replace(f"{redact.HIDDEN}@", "", 1)
    if found is None or redact.HIDDEN in found:
        raise UserError(
            "tracking.uri",
            expected="the credentials, which results do not keep",
            got=f"{uri} without them",
            cure=f"Type {URI}='{uri}' kd-lab report {study} --sync with USER:PASSWORD in place of {redact.HIDDEN}.",
        )
    return found


def is_server(uri: str) -> bool:
    """Whether the store is reached by HTTP."""
    return uri.startswith(("http://", "https://"))


def sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, None for any other."""
    return Path(_FILE.sub("", uri, count=1).partition("?")[0]) if _FILE.match(uri) else None
