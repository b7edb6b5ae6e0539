"""The MLflow model of a run answers a real HTTP request."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pytest
from local_servers import free_port, wait_for_answer
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from pandas import DataFrame, Series
from small_study import cell

from kd_lab.core import results
from kd_lab.serving.mlflow_model import ServedModel
from kd_lab.serving.text_classifier import TextClassifier
from kd_lab.tracking.mlflow_tracking import MlflowTracking

TEXTS = ["the old cat number 3", "a red house number 7"]


@pytest.fixture(scope="module")
def logged(
    small_study: Path, tmp_path_factory: pytest.TempPathFactory, empty_store: Callable[[Path], Path]
) -> tuple[Path, Path]:
    """(the model's folder in the cell, the folder that MLflow keeps of it)."""
    folder, home = cell(small_study, "[onnx_int8]"), tmp_path_factory.mktemp("store")
    empty_store(home / "mlflow.db")
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
    port = free_port()
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
        wait_for_answer(f"http://127.0.0.1:{port}/ping", server)
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


ROWS = [{"text": text} for text in TEXTS]
SHAPES = {  # of a request, as MLflow documents them
    "split": {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
    "split with an index and more": {
        "dataframe_split": {"index": [4, 2], "columns": ["id", "text"], "data": [[7, text] for text in TEXTS]}
    },
    "records": {"dataframe_records": ROWS},
    "inputs by column": {"inputs": {"text": TEXTS}},
    "inputs by row": {"inputs": ROWS},
    "instances": {"instances": ROWS},
}


@pytest.fixture(scope="module")
def served(logged: tuple[Path, Path]) -> Any:
    return mlflow.pyfunc.load_model(str(logged[1]))


@pytest.fixture
def model(logged: tuple[Path, Path]) -> ServedModel:
    """As MLflow loads it, without the checks that MLflow makes of a request beforehand."""
    model = ServedModel()
    model.load_context(SimpleNamespace(artifacts={"model": str(logged[0])}))
    return model


@pytest.mark.parametrize("shape", list(SHAPES))
def test_each_json_shape_that_mlflow_documents_is_answered(shape: str, served: Any, logged: tuple[Path, Path]) -> None:
    schema = served.metadata.get_input_schema()
    said = scoring_server.invocations(json.dumps(SHAPES[shape]), "application/json", served, schema)
    assert said.status == 200
    labels, probabilities = TextClassifier(logged[0]).predict(TEXTS)
    found = json.loads(said.response)["predictions"]
    assert [row["label"] for row in found] == labels
    assert [row["probability"] for row in found] == pytest.approx(list(probabilities.max(axis=1)), abs=0.05)


@pytest.mark.parametrize(
    "given",
    [
        DataFrame({"id": [1, 2], "text": TEXTS}),
        DataFrame({"text": TEXTS, "text_pair": [None, None]}),
        {"text": TEXTS},
        {"text": np.array(TEXTS)},
        ROWS,
        [{"text": np.array(text)} for text in TEXTS],
        TEXTS,
        np.array(TEXTS),
        [[text] for text in TEXTS],
        Series(TEXTS),
    ],
)
def test_the_model_itself_takes_texts_in_any_form(given: Any, model: ServedModel, logged: tuple[Path, Path]) -> None:
    assert model.predict(None, given)["label"].tolist() == TextClassifier(logged[0]).predict(TEXTS)[0]


@pytest.mark.parametrize("one", ["a cat", {"text": "a cat"}, np.array("a cat")])
def test_one_text_is_one_row(one: Any, model: ServedModel) -> None:
    assert len(model.predict(None, one)) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (DataFrame({"words": TEXTS}), "expected a column 'text', got 'words'"),
        ({"text": TEXTS, "text_pair": ["one"]}, "columns of one length"),
        ([[1, 2, 3]], "expected a column 'text', got 0, 1, 2"),
        ([], "expected a column 'text', got none"),
        ({"text": [5]}, r"texts\[0\]: expected a text, got int 5"),
    ],
)
def test_what_is_no_text_is_a_request_that_is_refused(given: Any, words: str, model: ServedModel) -> None:
    with pytest.raises(MlflowException, match=words) as refused:
        model.predict(None, given)
    assert refused.value.get_http_status_code() == 400


def _ask(port: int, texts: list[str]) -> tuple[int, Any]:
    body = json.dumps({"dataframe_records": [{"text": text} for text in texts]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)
