"""The MLflow model of a run answers a real HTTP request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from small_study import cell

from kd_lab.core import results
from kd_lab.serving.text_classifier import TextClassifier
from kd_lab.tracking.mlflow_tracking import MlflowTracking

TEXTS = ["the old cat number 3", "a red house number 7"]


@pytest.fixture(scope="module")
def logged(small_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the model's folder in the cell, the folder that MLflow keeps of it)."""
    folder, home = cell(small_study, "[onnx_int8]"), tmp_path_factory.mktemp("store")
    store = MlflowTracking(f"sqlite:///{home}/mlflow.db", str(home / "artifacts"), experiment="served")
    store.mirror(results.read(folder), {}, folder / "model", "cell", parent=False)
    client = MlflowClient(store.uri)
    (experiment,) = client.search_experiments(filter_string="name = 'served'")
    (model,) = client.search_logged_models([experiment.experiment_id])
    return folder / "model", Path(model.artifact_location.removeprefix("file://"))


@pytest.mark.slow
@pytest.mark.integration
def test_mlflow_models_serve_answers_as_the_cell_does_and_refuses_what_is_no_text(
    logged: tuple[Path, Path], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = shutil.copytree(logged[1], tmp_path / "model")
    line = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(
        [*line, "-h", "127.0.0.1", "-p", str(port)],
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    try:
        _wait(port, server, tmp_path / "log")
        code, said = _ask(port, TEXTS)
        labels, probabilities = TextClassifier(logged[0]).predict(TEXTS)
        assert code == 200
        assert [row["label"] for row in said["predictions"]] == labels
        assert [row["probability"] for row in said["predictions"]] == pytest.approx(list(probabilities.max(axis=1)))
        code, said = _ask(port, ["a red cat", " "])
        assert code == 400
        assert "expected a text" in json.dumps(said)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        log.close()


def test_the_model_loads_by_mlflow_and_answers_as_the_cell_does(logged: tuple[Path, Path]) -> None:
    from pandas import DataFrame

    said = mlflow.pyfunc.load_model(str(logged[1])).predict(DataFrame({"text": TEXTS}))
    assert said["label"].tolist() == TextClassifier(logged[0]).predict(TEXTS)[0]


def _ask(port: int, texts: list[str]) -> tuple[int, Any]:
    body = json.dumps({"dataframe_records": [{"text": text} for text in texts]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.4)
    raise AssertionError(log.read_text())
