"""`kd-lab ui`: MLflow's pages over the runs, on this machine only, until Ctrl-C; or where a server shows them."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

from kd_lab.core import redact
from kd_lab.core.errors import UserError
from kd_lab.tracking.mlflow_address import URI, default_experiment, default_uri, is_server, sqlite_file
from kd_lab.tracking.mlflow_store import Store, connect
from kd_lab.tracking.mlflow_view import link

_HOST = "127.0.0.1"  # the store has no password: it is never offered to other machines
_GRACE_S = 10  # for the server to end by itself


def ui(arguments: list[str]) -> int:
    """Serves the store until Ctrl-C; of a store that has a server already, says where it shows the runs.

    Args:
        arguments: what follows `kd-lab ui` on the command line.

    Returns:
        exit code: 0 after Ctrl-C or where a server was there, 1 where the server ended by itself.

    Raises:
        UserError: there is no store, no such study in it, or the port is taken.
    """
    parser = argparse.ArgumentParser(prog="kd-lab ui", description="Compare runs in MLflow, on 127.0.0.1 only.")
    parser.add_argument("name", metavar="NAME", nargs="?", help="the study to open; the newest when left out")
    parser.add_argument("--port", type=int, default=5000, help="where to listen (default: 5000)")
    parser.add_argument("--multirun", type=Path, default=Path("multirun"), help="the folder of the results")
    open_it = argparse.BooleanOptionalAction
    parser.add_argument("--open", action=open_it, help="open it in the browser (default: where there is a display)")
    chosen = parser.parse_args(arguments)
    store = Store(default_uri(str(chosen.multirun.resolve())), str((chosen.multirun / "mlartifacts").resolve()))
    if store.uri == os.environ.get(URI):
        print(f"The store is {redact.text(store.uri)}, as {URI} says.", flush=True)
    if is_server(store.uri):
        return _show(store.uri, chosen.name, _has_display() if chosen.open is None else chosen.open)
    database = sqlite_file(store.uri)
    if database is not None and not database.is_file():
        raise UserError(
            str(database),
            expected="a store of runs",
            got="no such file",
            cure="Run something first, e.g. make demo, or name its folder with --multirun.",
        )
    _check_port(chosen.port)
    server = f"http://{_HOST}:{chosen.port}"
    experiment = _experiment(store.uri, chosen.name)
    page = server + link(connect(store.uri), experiment)
    print(f"MLflow: {page}", flush=True)
    print("It answers in a few seconds; Ctrl-C ends it.", flush=True)
    if _has_display() if chosen.open is None else chosen.open:
        threading.Thread(target=_open, args=(server, page), daemon=True).start()
    return _serve(store, chosen.port)


def _show(uri: str, name: str | None, open_it: bool) -> int:
    """Says, and opens, where a server shows the study."""
    page = redact.text(uri).replace(f"{redact.HIDDEN}@", "").rstrip("/") + link(connect(uri), _experiment(uri, name))
    print(f"MLflow: {page}", flush=True)
    if open_it:
        webbrowser.open(page)
    return 0


def _has_display() -> bool:
    """Whether someone sits at a screen here; a browser of the terminal would take the terminal away."""
    screen = sys.platform in ("darwin", "win32") or any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY"))
    return screen and sys.stdout.isatty()


def _open(server: str, page: str) -> None:
    """Opens the page once the server answers, within a minute."""
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{server}/health", timeout=5).close()  # noqa: S310 - our own server
        except OSError:
            time.sleep(0.25)
        else:
            webbrowser.open(page)
            return


def _check_port(port: int) -> None:
    cure = "Choose another with --port, e.g. --port 5001."
    if not 0 < port < 65536:
        raise UserError("--port", expected="1 to 65535", got=str(port), cure=cure)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended is no hindrance
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            got = (error.strerror or str(error)).lower()
            raise UserError("--port", expected=f"port {port} to be free", got=got, cure=cure) from error


def _experiment(uri: str, name: str | None) -> str:
    """The id of the study, or of the newest one."""
    try:
        found = connect(uri).search_experiments(order_by=["creation_time DESC"])
    except Exception as error:  # MLflow and its database library each raise several kinds
        raise UserError(
            redact.text(uri),
            expected="a store that this MLflow can read",
            got=str(error).partition("\n")[0],
            cure="Move it away and run `kd-lab report NAME --sync` for each study: that makes it anew.",
        ) from error
    for wanted in (name, default_experiment()):  # a study may have been put into the experiment that a variable names
        for experiment in found:
            if wanted == experiment.name or name is None:
                return str(experiment.experiment_id)
    if name is None:
        return "0"
    known = ", ".join(experiment.name for experiment in found if experiment.name != "Default") or "none yet"
    raise UserError("kd-lab ui", expected=f"a study in the store ({known})", got=name, cure="Choose one of them.")


def _serve(store: Store, port: int) -> int:
    where = ["--host", _HOST, "--port", str(port), "--workers", "1"]
    own = {
        "MLFLOW_BACKEND_STORE_URI": store.uri,  # not on the command line, which others see: it may hold a password
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": Path(store.artifacts).as_uri(),
        "PYTHONSAFEPATH": "1",  # nothing of the working folder is imported
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # whoever ends us ends the server
    server = subprocess.Popen(  # noqa: S603 - our own arguments, no shell
        [sys.executable, "-m", "mlflow", "server", *where, "--uvicorn-opts", "--log-level=warning"],
        env={**os.environ, **own},
        start_new_session=True,
    )
    try:
        code = server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(server)
    print(f"The server ended by itself with exit code {code}.", file=sys.stderr)
    return 1


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ends the server and its workers: they share a process group that is theirs alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would leave them running
    for ending in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, ending)
            server.wait(_GRACE_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
