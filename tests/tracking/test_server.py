"""A real tracking server over PostgreSQL takes each run once and whole, also where it goes and comes back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from debian import POSTGRES
from local_servers import free_port, wait_for_answer
from quick_lines import ALONE, EPOCH, STUDENT

from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.core.results import RunResult
from kd_lab.tracking.mlflow_store import connect
from kd_lab.tracking.mlflow_tracking import MlflowTracking

pytestmark = [pytest.mark.postgres, pytest.mark.integration]

SWEEP = ["-m", "dataset=csv", *ALONE, *STUDENT, EPOCH, "tracking.log_model=false", "seed=1,2"]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL cluster of our own behind a socket in its folder; it does not run as root, so neither does this."""
    owner = "postgres" if os.getuid() == 0 else None
    binaries = POSTGRES[-1]
    with tempfile.TemporaryDirectory(prefix="kd_lab_postgres_", dir="/tmp") as folder:  # a short path
        if owner:
            shutil.chown(folder, owner)
        data, sockets = f"{folder}/data", f"-k {folder} -c listen_addresses='' -c fsync=off"

        def do(*command: str | Path) -> None:
            subprocess.run(command, check=True, user=owner, cwd=folder, stdout=subprocess.DEVNULL)

        do(binaries / "initdb", "-D", data, "-U", "kd_lab", "-A", "trust", "--no-sync")
        control = [binaries / "pg_ctl", "-D", data, "-w", "-l", f"{folder}/log"]
        do(*control, "-o", sockets, "start")
        try:
            yield f"postgresql+psycopg2://kd_lab@/postgres?host={folder}"
        finally:
            do(*control, "-m", "immediate", "stop")


class Server:
    """An `mlflow server` over the database that keeps the artifacts itself; it may be killed and started again."""

    def __init__(self, database: str, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.artifacts = folder / "on the server"
        self.store = ["--backend-store-uri", database, "--artifacts-destination", self.artifacts.as_uri()]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        place = ["--host", "127.0.0.1", "--port", str(self.port)]
        place += ["--workers", "1", "--uvicorn-opts", "--log-level=error"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *place, *self.store],
            env={**os.environ, **quiet},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        wait_for_answer(f"{self.url}/health", self.process)

    def kill(self) -> None:
        """As a crash would, with its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="module")
def server(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(database, tmp_path_factory.mktemp("server"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def store(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowTracking:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    return MlflowTracking(server.url, str(tmp_path / "mlartifacts"))


def result(name: str, cell: str) -> RunResult:
    return RunResult(
        name,
        cell,
        "finished",
        config={"seed": 1, "loss": {"alpha": 0.1}},
        fingerprint={"result": cell},
        metrics={"test": {"accuracy": 0.75}},
        history=[{"validation/accuracy": 0.5}, {"validation/accuracy": 0.875}],
    )


def runs(store: MlflowTracking, name: str) -> dict[str, Any]:
    """Cell, or name of a run that is none -> run; two of one cell fail."""
    client = connect(store.uri)
    found = client.search_runs([client.get_experiment_by_name(name).experiment_id])
    cells = {run.data.tags.get("kd_lab.cell", run.info.run_name): run for run in found}
    assert len(cells) == len(found)
    return cells


def test_a_run_arrives_once_with_its_files_epochs_and_model(
    store: MlflowTracking, server: Server, model: Path, tmp_path: Path
) -> None:
    table = tmp_path / "table.md"
    table.write_text("| a |", encoding="utf-8")
    ours = result("whole", "only")
    run_id = store.mirror(ours, {"table.md": table}, model)
    assert run_id is not None
    assert store.mirror(ours, {"table.md": table}, model) == run_id
    (run,) = runs(store, "whole").values()
    assert (run.info.status, run.data.metrics["test/accuracy"], run.data.params["loss.alpha"]) == (
        "FINISHED",
        0.75,
        "0.1",
    )
    client = connect(store.uri)
    curve = client.get_metric_history(run_id, "epoch/validation/accuracy")
    assert [(point.step, point.value) for point in curve] == [(0, 0.5), (1, 0.875)]
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")  # through the server, not past it
    fetched = Path(client.download_artifacts(run_id, "", str(tmp_path / "fetched")))
    assert results.read(fetched) == ours
    assert (fetched / "table.md").read_text(encoding="utf-8") == "| a |"
    (logged,) = client.search_logged_models([run.info.experiment_id])
    assert (logged.source_run_id, str(logged.status)) == (run_id, "READY")
    assert list(server.artifacts.rglob("model.safetensors"))
    assert not Path(store.artifacts).exists()


def test_cells_of_a_sweep_hang_below_one_run_of_its_own(store: MlflowTracking) -> None:
    store.begin("family")
    for cell in ("seed=1", "seed=2"):
        assert store.mirror(result("family", cell), {}, None, parent=True)
    found = runs(store, "family")
    parent = found.pop("family")
    assert parent.data.tags["kd_lab.parent"] == "family"
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {parent.info.run_id}
    assert set(found) == {"seed=1", "seed=2"}


def test_a_server_killed_between_two_cells_costs_a_warning_and_sync_brings_it_level_once(
    store: MlflowTracking,
    server: Server,
    toy_csv: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    real = MlflowTracking.mirror

    def mirror_and_kill(self: MlflowTracking, result: RunResult, *rest: Any, **named: Any) -> str | None:
        run = real(self, result, *rest, **named)
        server.kill()
        return run

    monkeypatch.chdir(tmp_path)
    sweep = [*SWEEP, f"dataset.path={toy_csv}", f"tracking.uri={server.url}", "name=cut"]
    with monkeypatch.context() as patched:
        patched.setattr(MlflowTracking, "mirror", mirror_and_kill)
        assert command(sweep) == 0
    cells = sorted(results.collect(tmp_path / "multirun" / "cut"), key=lambda cell: int(cell.config["seed"]))
    assert [cell.status for cell in cells] == ["finished", "finished"]
    told = [line for line in capfd.readouterr().err.splitlines() if "did not take" in line]
    assert len([line for line in told if f"did not take cut/{cells[1].cell} (" in line]) == 1
    assert not [line for line in told if cells[0].cell in line]
    assert all("`kd-lab report cut --sync`" in line for line in told)

    server.start()
    assert cells[1].cell not in runs(store, "cut")
    for _ in range(2):
        assert command(["report", "cut", "--sync"]) == 0
        found = runs(store, "cut")
        parent = found.pop("cut")
        assert set(found) == {cell.cell for cell in cells}
        for cell in cells:
            run = found[cell.cell]
            assert run.info.status == "FINISHED"
            assert run.data.metrics["test/accuracy"] == pytest.approx(cell.metrics["test"]["accuracy"])
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert parent.info.status == "FINISHED"
        assert parent.data.metrics["cells/finished"] == 2
