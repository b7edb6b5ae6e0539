"""MLflow away, killed within a request, locked, and its experiment deleted: what is lost or doubled after `--sync`.

A small sweep of three cells is run for real under each trouble, then `kd-lab report NAME --sync`. What the store holds
then is compared, metric by metric and point by point, with a store that mirrored the same results undisturbed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess  # this interpreter with arguments of our own, no shell
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from experiments.reliability import result
from experiments.speed import child
from kd_lab.core import results
from kd_lab.tracking.mlflow_store import PARENT, connect
from kd_lab.tracking.mlflow_tracking import MlflowTracking

SEEDS = (0, 1, 2)
CUT_AT = 12  # the request within which the server is killed: some way into the first cell
LOCKED_S = 60
LINE = [
    *("-m", "dataset=csv", "dataset.path=base.csv", "teacher=none", "loss=cross_entropy", "model=lstm_attention"),
    *("model.init=random", "model.hidden=8", "model.layers=1", "trainer.max_epochs=2", "trainer.device=cpu"),
    *("evaluation.requests=3", "evaluation.rounds=1", "tracking.log_model=false"),
]
Point = tuple[str, str, int]  # cell, metric, step


class Bench:
    """A scratch folder with a small data set, in which `kd-lab` is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [f"plain words {name} number {row},{name}" for row in range(40) for name in ("one", "two", "three")]
        (folder / "base.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")

    def kd_lab(self, *arguments: str) -> tuple[int, str]:
        """The exit code of `kd-lab ARGUMENTS` and what it said on stderr."""
        line = [sys.executable, "-m", "kd_lab", *arguments]
        own = {**child.surroundings(), "KD_LAB_CACHE": str(self.folder / "cache"), "COLUMNS": "1000"}
        done = subprocess.run(  # noqa: S603
            line, cwd=self.folder, env=own, capture_output=True, text=True, check=False, timeout=900
        )
        print(done.stderr[-3000:], file=sys.stderr, flush=True)
        return done.returncode, done.stderr

    def sweep(self, name: str, *more: str, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
        """Runs the sweep: its exit code, its warnings of MLflow, its seconds."""
        began = time.perf_counter()
        code, said = self.kd_lab(*LINE, f"name={name}", f"seed={','.join(map(str, seeds))}", *more)
        took = round(time.perf_counter() - began, 1)
        finished = sum(one.status == "finished" for one in results.collect(self.folder / "multirun" / name))
        return {"sweep_exit": code, "finished": finished, "warnings": said.count("did not take"), "sweep_s": took}

    def after_sync(self, name: str, database: Path) -> dict[str, Any]:
        """Syncs, and compares the store with one that nothing disturbed."""
        before = points(f"sqlite:///{database}", name)
        code, _ = self.kd_lab("report", name, "--sync")
        wanted, found = self._undisturbed(name), points(f"sqlite:///{database}", name)
        return {
            "sync_exit": code,
            "metrics": wanted.total(),
            "missing_before_sync": (wanted - before).total(),
            "lost": (wanted - found).total(),
            "doubled": (found - wanted).total(),
        }

    def _undisturbed(self, name: str) -> Counter[Point]:
        place = self.folder / "undisturbed"
        store = MlflowTracking(f"sqlite:///{place}/{name}.db", str(place / name))
        for one in results.collect(self.folder / "multirun" / name):
            assert store.mirror(one, {}, None)
        return points(str(store.uri), name)


def points(uri: str, name: str) -> Counter[Point]:
    """How often each point of each metric of each cell stands in the store, runs that are deleted left out."""
    client, found = connect(uri), Counter[Point]()
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return found
    for run in client.search_runs([experiment.experiment_id]):
        if PARENT not in run.data.tags:
            for metric in run.data.metrics:
                history = client.get_metric_history(run.info.run_id, metric)
                found.update((run.data.tags["kd_lab.cell"], metric, point.step) for point in history)
    return found


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real `mlflow server` over `folder`/server.db, killed at the end."""
    where = ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "kept")]
    line = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    own = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(  # noqa: S603
        [*line, *where], env=own, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            time.sleep(0.2)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kills a server and its workers, which share a process group of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


def dead(bench: Bench) -> dict[str, Any]:
    """Nothing listens for the whole sweep; the server is there when it is synced."""
    folder, port = bench.folder / "dead", free_port()
    folder.mkdir()
    told = bench.sweep("dead", f"tracking.uri=http://127.0.0.1:{port}")
    with server(folder, port):
        return {**told, **bench.after_sync("dead", folder / "server.db")}


def killed(bench: Bench) -> dict[str, Any]:
    """The server is killed while it answers a request, behind a proxy that counts them; then it is started again."""
    folder, port, numbers = bench.folder / "killed", free_port(), iter(range(1, 1_000_000))
    folder.mkdir()

    class Proxy(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            last = next(numbers) == CUT_AT
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request(self.command, self.path, body, dict(self.headers))
                if last:
                    kill(process)
                answer = connection.getresponse()
                content = answer.read()
            except OSError:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Length"):
                if (value := answer.getheader(name)) is not None:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - names of its base

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    with server(folder, port) as process:
        told = bench.sweep("killed", f"tracking.uri=http://127.0.0.1:{proxy.server_address[1]}")
        was_killed = process.poll() is not None
    with server(folder, port):
        told |= {"was_killed": was_killed, **bench.after_sync("killed", folder / "server.db")}
    proxy.shutdown()
    return told


def locked(bench: Bench) -> dict[str, Any]:
    """Another connection's exclusive lock holds the SQLite file for a minute, from just before the sweep first asks."""
    database = bench.folder / "multirun" / "mlflow.db"
    database.parent.mkdir(exist_ok=True)
    connect(f"sqlite:///{database}").search_experiments()  # makes it

    begun = bench.folder / "multirun" / "locked" / results.SWEEP  # written before the store is asked for the first time

    def hold() -> None:
        while not begun.is_file():
            time.sleep(0.01)
        other = sqlite3.connect(database, isolation_level=None, timeout=30)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(LOCKED_S)
        other.execute("ROLLBACK")
        other.close()

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    told = bench.sweep("locked")
    holder.join(LOCKED_S + 60)
    return {**told, "locked_s": LOCKED_S, **bench.after_sync("locked", database)}


def deleted(bench: Bench) -> dict[str, Any]:
    """The experiment is deleted as the UI does it, one more cell is run, and one run is deleted by itself."""
    database = bench.folder / "multirun" / "mlflow.db"
    bench.sweep("deleted", seeds=SEEDS[:2])
    client = connect(f"sqlite:///{database}")
    number = client.get_experiment_by_name("deleted").experiment_id
    client.delete_experiment(number)
    told = bench.sweep("deleted")
    runs = [run for run in client.search_runs([number]) if PARENT not in run.data.tags]
    client.delete_run(runs[0].info.run_id)
    return {**told, **bench.after_sync("deleted", database)}


SCENARIOS = {"dead": dead, "killed": killed, "locked": locked, "deleted": deleted}


def main(arguments: Sequence[str] | None = None) -> Path:
    """Runs the troubles asked for and writes `tracking/result.json`."""
    parser = result.parser("tracking", __doc__)
    parser.add_argument("only", nargs="*", choices=[[], *SCENARIOS], help="troubles; all when left out")
    said = parser.parse_args(arguments)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        os.environ.pop(name, None)
    figures = {}
    with tempfile.TemporaryDirectory(prefix="kd_lab_tracking_") as folder:
        bench = Bench(Path(folder))
        for name in said.only or SCENARIOS:
            figures[name] = SCENARIOS[name](bench)
            print(f"{name}: {figures[name]}", file=sys.stderr, flush=True)
    total = {part: sum(one[part] for one in figures.values()) for part in ("metrics", "lost", "doubled")}
    settings = {"line": LINE, "seeds": list(SEEDS), "cut_at_request": CUT_AT, "locked_s": LOCKED_S}
    wrong = [name for name, told in figures.items() if told["lost"] or told["doubled"]]
    return result.write("tracking", {**figures, "all": total, "settings": settings}, wrong, said.to)


if __name__ == "__main__":
    main()
