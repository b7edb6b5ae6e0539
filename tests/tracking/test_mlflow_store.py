"""What is made in an MLflow store once."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from kd_lab.tracking import mlflow_store
from kd_lab.tracking.mlflow_store import connect


def test_a_store_whose_making_was_cut_off_is_made_by_the_next(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    connect(f"sqlite:///{tmp_path}/imported.db")  # what it imports, once for the children
    for statement in (1, 40, 150, 151):
        assert killed_at(statement, file) == 9
        assert not file.exists(), "half a store has its name"
    client = connect(f"sqlite:///{file}")
    assert [one.name for one in client.search_experiments()] == ["Default"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imported.db", "mlflow.db"], "cleared"


def killed_at(statement: int, file: Path) -> int:
    """The exit status of a process that makes the store and ends, as by `kill -9`, before one of its statements."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == statement:
            os._exit(9)

    child = os.fork()
    if child == 0:
        try:
            event.listen(Engine, "before_cursor_execute", count)
            connect(f"sqlite:///{file}")
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("faster", [True, False])
def test_a_store_that_another_made_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, faster: bool
) -> None:
    file = tmp_path / "mlflow.db"

    def link(source: Path, target: Path) -> None:
        if faster:
            file.write_text("another's", encoding="utf-8")
        if not links:
            raise OSError(errno.EPERM, "no links here")
        if faster:
            raise FileExistsError
        source.rename(target)

    monkeypatch.setattr(os, "link", link)
    makes_a_table = "mlflow.store.db.utils._initialize_tables"  # one, of what MLflow makes in seconds
    monkeypatch.setattr(makes_a_table, lambda engine: engine.connect().exec_driver_sql("CREATE TABLE one (number)"))
    mlflow_store._make_database(file)
    assert (file.read_bytes() == b"another's") == faster
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
