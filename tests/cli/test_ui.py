"""`kd-lab ui` serves the runs to this machine alone, tells the link, and ends with all its processes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from local_servers import free_port, wait_for_answer

from kd_lab.cli.ui import ui
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.tracking.mlflow_store import connect
from kd_lab.tracking.mlflow_tracking import MlflowTracking
from kd_lab.tracking.mlflow_view import link

_VERB = "import sys; from kd_lab.cli.ui import ui; sys.exit(ui(sys.argv[1:]))"


@pytest.fixture(scope="module")
def multirun(tmp_path_factory: pytest.TempPathFactory, empty_store: Callable[[Path], Path]) -> Path:
    folder: Path = tmp_path_factory.mktemp("a place") / "multirun"
    store = MlflowTracking(f"sqlite:///{empty_store(folder / 'mlflow.db')}", str(folder / "mlartifacts"))
    for name in ("seeds/older", "seeds/newer"):
        assert store.mirror(RunResult(name, "cell", "finished", {"seed": 1}), {}, None)
    return folder


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
        return answer.status, answer.read()


def wait_for(fact: Callable[[], bool]) -> None:
    for _ in range(100):
        if fact():
            return
        time.sleep(0.1)
    pytest.fail(f"{fact} did not come true within 10 s")


def test_the_server_answers_on_127_0_0_1_alone_opens_in_a_browser_and_ctrl_c_ends_it_whole(multirun: Path) -> None:
    port = free_port()
    opened = multirun.with_name("opened.txt")
    browser = multirun.with_name("browser")
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n', encoding="utf-8")
    browser.chmod(0o755)
    arguments = ["--port", str(port), "--multirun", str(multirun), "seeds/older", "--open"]
    own = {**os.environ, "BROWSER": f"{shlex.quote(str(browser))} %s"}
    server = subprocess.Popen([sys.executable, "-c", _VERB, *arguments], stdout=subprocess.PIPE, text=True, env=own)
    url = f"http://127.0.0.1:{port}"
    try:
        assert server.stdout is not None
        link = server.stdout.readline().removeprefix("MLflow: ").strip()
        wait_for_answer(f"{url}/health", server)
        assert b"<html" in get(link.partition("#")[0])[1]
        experiment = link.removeprefix(f"{url}/#/experiments/").partition("/runs")[0]
        found = json.loads(get(f"{url}/api/2.0/mlflow/experiments/get?experiment_id={experiment}")[1])
        assert found["experiment"]["name"] == "seeds/older"
        run = next((multirun / "mlartifacts").glob("*/artifacts/result.json")).parts[-3]
        assert json.loads(get(f"{url}/get-artifact?run_uuid={run}&path=result.json")[1])["config"] == {"seed": 1}
        wait_for(opened.is_file)
        assert opened.read_text(encoding="utf-8").strip() == link
        family = psutil.Process(server.pid).children(recursive=True)
        listening = [place.laddr for one in family for place in one.net_connections() if place.status == "LISTEN"]
        assert [(place.ip, place.port) for place in listening] == [("127.0.0.1", port)]
        server.send_signal(signal.SIGINT)  # Ctrl-C
        assert server.wait(timeout=20) == 0
        assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        with pytest.raises(urllib.error.URLError):
            get(f"{url}/health")
    finally:
        if server.poll() is None:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ports that would have been served; no server is started."""
    ports: list[int] = []
    monkeypatch.setattr("kd_lab.cli.ui._serve", lambda database, port: ports.append(port) or 0)
    return ports


def test_the_newest_study_is_linked_where_none_is_named(
    multirun: Path, served: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    assert ui(["--port", str(port), "--multirun", str(multirun)]) == 0
    newest = capsys.readouterr().out
    ui(["--port", str(port), "--multirun", str(multirun), "seeds/newer"])
    assert capsys.readouterr().out == newest
    ui(["--port", str(port), "--multirun", str(multirun), "seeds/older"])
    assert capsys.readouterr().out != newest
    assert served == [port] * 3


def test_the_page_shows_swept_options_and_measures_and_opens_without_them_where_the_store_is_read_only(
    tmp_path: Path,
) -> None:
    place = tmp_path / "multirun"
    store = MlflowTracking(f"sqlite:///{place}/mlflow.db", str(place / "mlartifacts"))
    for alpha in (0.1, 0.5):
        cell = RunResult("s", f"loss.alpha={alpha}", "finished", {"seed": 1, "loss": {"alpha": alpha, "also": alpha}})
        assert store.mirror(replace(cell, metrics={"test": {"accuracy": alpha, "ece": alpha}}), {}, None)
    client = connect(store.uri)
    experiment = client.get_experiment_by_name("s").experiment_id
    page = link(client, experiment)
    assert page == f"/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey=kd_lab"
    view = json.loads(client.get_experiment(experiment).tags["mlflow.sharedViewState.kd_lab"])
    assert view["selectedColumns"] == ["params.`loss.alpha`", "metrics.`test/accuracy`"]
    (chart,) = view["compareRunCharts"]
    assert (chart["selectedParams"], chart["selectedMetrics"]) == (["loss.alpha"], ["test/accuracy"])
    client.delete_experiment(experiment)  # it takes no more tags, as a store that is read only
    assert link(client, experiment) == f"/#/experiments/{experiment}/runs?workflowType=machine_learning"


def test_a_missing_store_says_what_to_do_and_makes_none(tmp_path: Path, served: list[int]) -> None:
    with pytest.raises(
        UserError, match=r"expected a store of runs, got no such file\. Run something first, e\.g\. make demo"
    ):
        ui(["--multirun", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
    assert served == []


def test_a_damaged_store_is_one_clear_line(tmp_path: Path, served: list[int]) -> None:
    (tmp_path / "mlflow.db").write_text("garbage " * 1000, encoding="utf-8")
    with pytest.raises(UserError, match=r"expected a store that this MLflow can read, got .*not a database"):
        ui(["--multirun", str(tmp_path), "--port", str(free_port())])
    assert served == []


def test_a_study_that_is_not_there_is_refused_with_those_that_are(multirun: Path, served: list[int]) -> None:
    with pytest.raises(UserError, match=r"a study in the store \(seeds/newer, seeds/older\), got seeds/none"):
        ui(["--multirun", str(multirun), "--port", str(free_port()), "seeds/none"])
    assert served == []


def test_a_taken_port_is_refused_with_the_cure(multirun: Path, served: list[int]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"expected port {port} to be free, got .* in use.* --port 5001"):
            ui(["--multirun", str(multirun), "--port", str(port)])
    assert served == []


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_that_cannot_be_is_refused(multirun: Path, served: list[int], port: str) -> None:
    with pytest.raises(UserError, match="--port: expected 1 to 65535"):
        ui(["--multirun", str(multirun), f"--port={port}"])
    assert served == []


def test_there_is_no_option_for_another_host(multirun: Path, served: list[int]) -> None:
    with pytest.raises(SystemExit) as ended:
        ui(["--multirun", str(multirun), "--host", "0.0.0.0"])  # noqa: S104 - it is refused
    assert ended.value.code == 2
    assert served == []


def test_a_server_that_ends_by_itself_is_exit_code_1(multirun: Path) -> None:
    script = f"import sys; sys.executable = '/bin/false'; {_VERB}"
    arguments = ["--port", str(free_port()), "--multirun", str(multirun)]
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "The server ended by itself with exit code 1." in ended.stderr
