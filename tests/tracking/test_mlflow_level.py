"""What users delete, kills leave and lost requests double in MLflow is mended by `kd-lab report NAME --sync`."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from local_servers import free_port
from sqlalchemy import Engine, event
from test_mlflow_tracking import result, runs

from kd_lab.__main__ import command
from kd_lab.cli.compose import compose
from kd_lab.core.results import SWEEP, RunResult
from kd_lab.tracking import mlflow_address, mlflow_failures, mlflow_level, mlflow_store, mlflow_tracking
from kd_lab.tracking.mlflow_store import connect
from kd_lab.tracking.mlflow_tracking import MlflowTracking


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Callable[[Path], Path]) -> MlflowTracking:
    root = tmp_path_factory.mktemp("store")
    empty_store(root / "mlflow.db")
    return MlflowTracking(f"sqlite:///{root}/mlflow.db", str(root / "mlartifacts"))


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_failures, "_failed", {})
    monkeypatch.setattr(mlflow_tracking, "_said", set())
    for name in (mlflow_address.URI, mlflow_address.EXPERIMENT, *mlflow_address.PASSED_OVER):
        monkeypatch.delenv(name, raising=False)


def cells(name: str, number: int = 3) -> list[RunResult]:
    return [result(name, cell=f"seed={seed}", fingerprint={"result": f"{seed:016x}"}) for seed in range(number)]


def swept(store: MlflowTracking, name: str) -> list[RunResult]:
    """A sweep of three cells that is level."""
    ours = cells(name)
    store.begin(name)
    for one in ours:
        assert store.mirror(one, {}, None, parent=True)
    assert store.mirror_study(ours, {}, {"best/accuracy": 0.5}, {"kd_lab.verdict": "good"})
    assert store.missing(ours) == []
    return ours


def sync(store: MlflowTracking, ours: list[RunResult]) -> int:
    """What `report --sync` does; how many cells were missing."""
    missing = store.missing(ours, thorough=True)
    assert missing is not None
    for one in missing:
        assert store.mirror(one, {}, None, parent=True)
    assert store.mirror_study(ours, {}, {"best/accuracy": 0.5}, {"kd_lab.verdict": "good"})
    return len(missing)


def assert_level(store: MlflowTracking, ours: list[RunResult]) -> None:
    """Each cell once, whole, below the one run of the sweep; each metric once."""
    client, found = connect(store.uri or ""), runs(store, ours[0].name)
    parents = [run for run in found if mlflow_store.PARENT in run.data.tags]
    children = [run for run in found if mlflow_store.PARENT not in run.data.tags]
    assert Counter(run.data.tags["kd_lab.cell"] for run in children) == Counter(one.cell for one in ours)
    assert len(parents) == 1
    for run in children:
        assert run.info.status == "FINISHED"
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert run.data.metrics["test/accuracy"] == 0.8125
        assert len(client.get_metric_history(run.info.run_id, "test/accuracy")) == 1
        assert len(client.get_metric_history(run.info.run_id, "epoch/validation/accuracy")) == 3
    assert len(client.get_metric_history(parents[0].info.run_id, "best/accuracy")) == 1


def test_an_experiment_deleted_in_the_ui_comes_back_with_its_runs(
    store: MlflowTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, client = swept(store, "a/deleted"), connect(store.uri or "")
    client.delete_experiment(client.get_experiment_by_name("a/deleted").experiment_id)
    assert sync(store, ours) == 0
    assert "the experiment a/deleted had been deleted; it is back" in " ".join(capsys.readouterr().err.split())
    assert_level(store, ours)


def test_a_new_run_in_a_deleted_experiment_is_taken(store: MlflowTracking) -> None:
    ours, client = swept(store, "a/goes on"), connect(store.uri or "")
    client.delete_experiment(client.get_experiment_by_name("a/goes on").experiment_id)
    assert store.mirror(cells("a/goes on", 4)[-1], {}, None, parent=True)
    assert len(runs(store, "a/goes on")) == len(ours) + 2


def test_an_experiment_that_is_gone_for_good_is_made_anew(store: MlflowTracking) -> None:
    ours, client = swept(store, "a/gone"), connect(store.uri or "")
    number = client.get_experiment_by_name("a/gone").experiment_id
    client.delete_experiment(number)
    client._tracking_client.store._hard_delete_experiment(number)  # as `mlflow gc` does
    assert sync(store, ours) == 3
    assert_level(store, ours)


def test_a_run_deleted_in_the_ui_comes_back(store: MlflowTracking) -> None:
    ours, client = swept(store, "a/run"), connect(store.uri or "")
    (one,) = [run for run in runs(store, "a/run") if run.data.tags.get("kd_lab.cell") == "seed=1"]
    client.delete_run(one.info.run_id)
    assert sync(store, ours) == 1
    assert_level(store, ours)
    assert client.get_run(one.info.run_id).info.lifecycle_stage == "active"


@pytest.mark.parametrize("for_good", [False, True])
def test_the_run_of_a_sweep_deleted_in_the_ui_comes_back_and_keeps_its_cells(
    store: MlflowTracking, for_good: bool
) -> None:
    ours, client = swept(store, f"a/parent {for_good}"), connect(store.uri or "")
    (parent,) = [run for run in runs(store, ours[0].name) if mlflow_store.PARENT in run.data.tags]
    client.delete_run(parent.info.run_id)
    if for_good:
        client._tracking_client.store._hard_delete_run(parent.info.run_id)
    assert sync(store, ours) == 0
    assert_level(store, ours)


def test_a_run_left_running_beside_its_whole_is_removed(store: MlflowTracking) -> None:
    ours, client = swept(store, "a/half"), connect(store.uri or "")
    experiment = client.get_experiment_by_name("a/half").experiment_id
    ghost = {"kd_lab.identity": mlflow_level.identity(ours[0]), "kd_lab.cell": ours[0].cell}
    client.create_run(experiment, tags=ghost)  # as a request that was sent twice leaves
    assert sync(store, ours) == 0
    assert_level(store, ours)


def test_of_two_runs_of_one_cell_one_stays(store: MlflowTracking, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = swept(store, "a/twice")
    with monkeypatch.context() as patch:
        patch.setattr(mlflow_tracking, "find_run", lambda *_: None)  # as two processes that look at the same moment
        store.mirror(ours[0], {}, None, parent=True)
    assert len(runs(store, "a/twice")) == 5
    assert sync(store, ours) == 0
    assert_level(store, ours)


def test_a_kill_between_two_writes_loses_and_doubles_nothing(
    store: MlflowTracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request of a sweep's mirroring in turn is the first that is not sent; at last all were, and nothing more."""
    from mlflow import MlflowClient

    writes = ("create_run", "log_artifacts", "log_batch", "log_metric", "set_tag", "set_terminated", "update_run")
    before: dict[str, Any] = {name: getattr(MlflowClient, name) for name in writes}
    left, after = [0], False

    def counted(name: str) -> Any:
        def call(client: Any, *given: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise KeyboardInterrupt
            done = before[name](client, *given, **options)
            if left[0] == 0:
                raise KeyboardInterrupt
            return done

        return call

    def attempt(name: str) -> bool:
        try:
            ours = cells(name, 1)
            store.begin(name)
            store.mirror(ours[0], {}, None, parent=True)
            store.mirror_study(ours, {}, {"best/accuracy": 0.5}, {"kd_lab.verdict": "good"})
        except KeyboardInterrupt:
            return False
        return True

    for name in writes:
        monkeypatch.setattr(MlflowClient, name, counted(name))

    def killed_at(number: int) -> bool:
        name = f"killed/{number}/{after}"
        left[0] = number
        whole = attempt(name)
        left[0] = 0
        sync(store, cells(name, 1))
        assert_level(store, cells(name, 1))
        return not whole

    requests = next(number for number in range(1, 40) if not killed_at(number)) - 1
    assert 7 < requests < 38
    after = True
    assert killed_at(requests)


def test_two_studies_in_one_experiment_keep_their_runs_apart(store: MlflowTracking) -> None:
    shared = MlflowTracking(store.uri, store.artifacts, experiment="shared")
    first, second = cells("one"), cells("two")  # the same cells made in the same way
    for ours in (first, second):
        shared.begin(ours[0].name)
        for one in ours:
            assert shared.mirror(one, {}, None, parent=True)
    assert shared.missing(first, thorough=True) == shared.missing(second, thorough=True) == []
    assert len(runs(store, "shared")) == 8


def test_a_sweep_is_called_level_only_where_the_store_holds_every_cell(store: MlflowTracking) -> None:
    ours = cells("a/hiccup")
    store.begin("a/hiccup")
    assert store.mirror_study(ours, {}, {}, {}, level=False)
    missing = store.missing(ours)
    assert missing is not None
    assert [one.cell for one in missing] == [one.cell for one in ours]


def test_times_that_were_taken_again_on_a_machine_that_is_still_busy_replace_the_first(store: MlflowTracking) -> None:
    def timed(p50: float, contended: bool) -> RunResult:
        cost = {"latency_ms": {"p50": p50}, "contended": contended}
        return result("a/busy", cell="one", fingerprint={"result": "1" * 16}, cost=cost)

    client = connect(store.uri or "")
    for p50, contended in ((3.0, True), (2.0, True), (1.0, False)):
        now = timed(p50, contended)
        assert store.missing([now], thorough=True) == [now]
        number = store.mirror(now, {}, None)
        assert number
        run = client.get_run(number)
        assert run.data.metrics["cost/latency_ms_p50"] == p50
        assert ("kd_lab.contended" in run.data.tags) == contended
        assert store.missing([now], thorough=True) == []


def study(folder: Path, name: str, settings: dict[str, Any]) -> list[RunResult]:
    """A swept study whose results lie under `folder`/multirun."""
    settings = {
        "_target_": "kd_lab.tracking.mlflow_tracking.MlflowTracking",
        "artifacts": "multirun/mlartifacts",
        "log_model": True,
        **settings,
    }
    ours = [
        result(
            name,
            cell=f"seed={seed}",
            config={"seed": seed, "tracking": settings, "paths": {"multirun": "multirun"}},
            overrides=[f"seed={seed}"],
            fingerprint={"result": f"{seed:016x}"},
        )
        for seed in range(2)
    ]
    for one in ours:
        one.write(folder / "multirun" / name / one.cell)
    (folder / "multirun" / name / SWEEP).write_text('{"schema": 1, "command": ["-m"], "axes": {"seed": ["0", "1"]}}')
    return ours


def test_a_run_and_report_sync_follow_mlflows_variables_and_say_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty_store: Callable[[Path], Path],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{empty_store(tmp_path / 'mine.db')}")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "exp9")
    of_a_run = compose().tracking
    assert (of_a_run.uri, of_a_run.experiment) == (f"sqlite:///{tmp_path}/mine.db", "exp9")
    monkeypatch.setenv("MLFLOW_RUN_ID", "stale")
    study(tmp_path, "s", {"uri": "sqlite:///multirun/mlflow.db"})  # the default: nobody gave it
    assert command(["report", "s", "--sync"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert f"runs go to sqlite:///{tmp_path}/mine.db, as MLFLOW_TRACKING_URI says" in said
    assert "the experiment is exp9, as MLFLOW_EXPERIMENT_NAME says" in said
    assert "MLFLOW_RUN_ID is not followed: every cell has a run of its own" in said
    assert f"MLflow is level with s: 2 of 2 cells were missing at sqlite:///{tmp_path}/mine.db" in said
    assert not (tmp_path / "multirun" / "mlflow.db").exists()
    client = connect(f"sqlite:///{tmp_path}/mine.db")
    assert len(client.search_runs([client.get_experiment_by_name("exp9").experiment_id])) == 3


def test_a_store_that_was_given_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mine.db")
    study(tmp_path, "s", {"uri": f"sqlite:///{tmp_path}/given.db"})
    assert command(["report", "s", "--sync"]) == 0
    assert (tmp_path / "given.db").exists()
    assert not (tmp_path / "mine.db").exists()


def test_report_sync_ends_with_1_where_the_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    study(tmp_path, "s", {"uri": f"http://127.0.0.1:{free_port()}"})
    assert command(["report", "s", "--sync"]) == 1
    assert "MLflow is not level with s" in capsys.readouterr().err


def test_without_the_credentials_report_sync_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    study(tmp_path, "s", {"uri": f"http://***@{address}"})
    with caplog.at_level(logging.WARNING, "kd_lab"):
        assert command(["report", "s", "--sync"]) == 1
        assert f"Type MLFLOW_TRACKING_URI='http://***@{address}' kd-lab report s --sync with" in caplog.text
        caplog.clear()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:h1dd3n@{address}")
        assert command(["report", "s", "--sync"]) == 1
    assert "no answer within" in caplog.text
    assert "h1dd3n" not in caplog.text


class Hung(BaseHTTPRequestHandler):
    """A server that takes every request and answers none."""

    asked = 0

    def do_GET(self) -> None:
        """Waits until the one who asks has gone."""
        type(self).asked += 1
        self.rfile.read()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(mlflow_store, "_ANSWERS_S", 0.2)
    monkeypatch.setattr(Hung, "asked", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hung)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_one_cell_of_a_sweep_waits_for_a_server_that_hangs_and_the_others_do_not(
    hung: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = MlflowTracking(hung, str(tmp_path / "mlartifacts"))
    with caplog.at_level(logging.WARNING, "kd_lab"):
        for one in cells("a/hung", 20):
            assert away.mirror(one, {}, None, parent=True) is None
    assert Hung.asked == 1
    assert len([record for record in caplog.records if record.name == "kd_lab"]) == 1
    assert away.missing(cells("a/hung")) is None  # the end of the sweep asks again
    assert Hung.asked == 2


@pytest.fixture
def impatient() -> Iterator[None]:
    """Has MLflow wait 0.2 seconds for a locked SQLite file, not 20."""

    def sooner(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> Any:
        return statement.replace("busy_timeout = 20000", "busy_timeout = 200"), parameters

    event.listen(Engine, "before_cursor_execute", sooner, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", sooner)


@pytest.mark.usefixtures("impatient")
def test_a_locked_sqlite_file_costs_one_cell_a_warning_and_sync_brings_it_level(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, empty_store: Callable[[Path], Path]
) -> None:
    store = MlflowTracking(f"sqlite:///{empty_store(tmp_path / 'mlflow.db')}", str(tmp_path / "mlartifacts"))
    ours = cells("a/locked")
    store.begin("a/locked")
    assert store.mirror(ours[0], {}, None, parent=True)
    other = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with caplog.at_level(logging.WARNING, "kd_lab"):
        assert [store.mirror(one, {}, None, parent=True) for one in ours[1:]] == [None, None]
    assert "database is locked" in caplog.text
    assert len([record for record in caplog.records if record.name == "kd_lab"]) == 1
    other.execute("ROLLBACK")
    other.close()
    assert sync(store, ours) == 2
    assert_level(store, ours)


@pytest.mark.parametrize(
    ("trouble", "cure"),
    [
        ("(sqlite3.DatabaseError) file is not a database", "move /x/mlflow.db away, then `kd-lab report s --sync`"),
        ("Detected out-of-date database schema", "after `mlflow db upgrade sqlite:////x/mlflow.db` `kd-lab report s"),
        ("anything else", "Nothing is lost: `kd-lab report s --sync` catches up."),
    ],
)
def test_each_trouble_has_the_cure_that_works(trouble: str, cure: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kd_lab"), mlflow_failures.Forgiving("sqlite:////x/mlflow.db", "s/c", "s"):
        raise RuntimeError(trouble)
    assert cure in caplog.text
