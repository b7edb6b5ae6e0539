"""What a store that fails costs: a warning that says how to catch up, never a run."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

from kd_lab.core import redact
from kd_lab.core.errors import UserError
from kd_lab.tracking.mlflow_address import sqlite_file

_REST_S = 120  # that the cells of a sweep leave a store alone which has just failed: none waits for it anew
_failed: dict[str, float] = {}  # store that failed at its last use -> when, on the monotonic clock
_UNREADABLE = ("file is not a database", "disk image is malformed", "already exists")  # SQLite says
log = logging.getLogger("kd_lab")


def failed_recently(uri: str) -> bool:
    """Whether the store has just failed."""
    return time.monotonic() - _failed.get(uri, -math.inf) < _REST_S


@dataclass(frozen=True)
class Forgiving:
    """Whatever is wrong with a tracking server costs a warning: the cell's result is safe.

    Args:
        uri: of the store.
        what: was to be written.
        study: that it belongs to.
    """

    uri: str
    what: str
    study: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            _failed.pop(self.uri, None)
        if not isinstance(error, Exception):
            return False
        if isinstance(error, ConnectionError | TimeoutError) or type(error).__name__ == "MlflowException":
            _failed[self.uri] = time.monotonic()
        told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        told = redact.text(" ".join(told.split())[:600])
        where = redact.text(self.uri)
        log.warning("MLflow at %s did not take %s (%s). %s", where, self.what, told[:400], self._cure(error))
        return True

    def _cure(self, error: Exception) -> str:
        again = f"`kd-lab report {self.study} --sync` catches up."
        if isinstance(error, UserError):  # it says what to type
            return "Nothing is lost."
        if any(said in str(error) for said in _UNREADABLE):
            return f"Nothing is lost: move {sqlite_file(self.uri)} away, then {again}"
        if "out-of-date database schema" in str(error):
            return f"Nothing is lost: after `mlflow db upgrade {redact.text(self.uri)}` {again}"
        return f"Nothing is lost: {again}"
