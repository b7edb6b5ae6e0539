"""MLflow shows what result.json says, once a run; and a store that fails costs a warning, never a result."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from kd_lab.cli.compose import register
from kd_lab.core import results
from kd_lab.core.paths import root
from kd_lab.core.results import RunResult
from kd_lab.serving.text_classifier import TextClassifier
from kd_lab.tracking import mlflow_tracking
from kd_lab.tracking.mlflow_store import connect
from kd_lab.tracking.mlflow_tracking import MlflowTracking, NoTracking

CONF = root() / "conf" / "tracking"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowTracking:
    root = tmp_path_factory.mktemp("a store")
    return MlflowTracking(f"sqlite:///{root}/mlflow.db", str(root / "mlartifacts"))


def result(name: str, **changes: Any) -> RunResult:
    whole: dict[str, Any] = {
        "name": name,
        "cell": "loss.alpha=0.1,loss.temperature=4",
        "status": "finished",
        "config": {
            "seed": 3,
            "teacher": None,
            "loss": {"_target_": "kd_lab.losses.hybrid.Hybrid", "alpha": 0.1},
            "compression": {"prune_l1": {"_target_": "kd_lab.compression.prune.L1", "amount": 0.5}},
            "dataset": {"columns": ["text", "label"], "note": ""},
        },
        "git_commit": "0123456789abcdef0123456789abcdef01234567-dirty",
        "fingerprint": {"tokens": "1" * 16, "fit": "2" * 16, "result": "3" * 16},
        "metrics": {
            "validation": {"accuracy": 0.75, "f1_macro": 0.7},
            "test": {"accuracy": 0.8125, "accuracy_interval": [0.7, 0.9], "f1_macro": 0.8, "mcc": -0.25},
        },
        "fidelity": {"agreement": 0.9, "kl": 0.05},
        "cost": {"parameters": 4_000_000, "size_mib": 15.5, "latency_ms": {"p50": 1.5, "p95": 2.5}, "contended": False},
        "history": [
            {"train/loss": 0.9, "validation/accuracy": 0.5},
            {"train/loss": 0.6, "validation/accuracy": 0.875},
            {"train/loss": 0.5, "validation/accuracy": 0.85},
        ],
        "durations_s": {"fit": 12.5},
        "warnings": ["12 rows of test stand in train too", "another"],
    }
    return RunResult(**{**whole, **changes})


def runs(store: MlflowTracking, name: str) -> list[Any]:
    client = connect(store.uri)
    found = client.get_experiment_by_name(name)
    return [] if found is None else list(client.search_runs([found.experiment_id]))


def test_every_value_of_the_result_stands_in_mlflow(store: MlflowTracking, tmp_path: Path) -> None:
    table = tmp_path / "some-file.md"
    table.write_text("| a |", encoding="utf-8")
    ours = result("seeds/all")
    run_id = store.mirror(ours, {"table.md": table}, None)
    (run,) = runs(store, "seeds/all")
    assert (run.info.run_id, run.info.run_name, run.info.status) == (run_id, ours.cell, "FINISHED")
    assert run.data.metrics == {
        "validation/accuracy": 0.75,
        "validation/f1_macro": 0.7,
        "test/accuracy": 0.8125,
        "test/accuracy_interval_low": 0.7,
        "test/accuracy_interval_high": 0.9,
        "test/f1_macro": 0.8,
        "test/mcc": -0.25,
        "fidelity/agreement": 0.9,
        "fidelity/kl": 0.05,
        "cost/parameters": 4_000_000.0,
        "cost/size_mib": 15.5,
        "cost/latency_ms_p50": 1.5,
        "cost/latency_ms_p95": 2.5,
        "durations_s/fit": 12.5,
        "epoch/train/loss": 0.5,
        "epoch/validation/accuracy": 0.85,
    }
    assert run.data.params == {
        "seed": "3",
        "teacher": "null",
        "loss._target_": "kd_lab.losses.hybrid.Hybrid",
        "loss.alpha": "0.1",
        "compression.prune_l1._target_": "kd_lab.compression.prune.L1",
        "compression.prune_l1.amount": "0.5",
        "dataset.columns": '["text", "label"]',
        "dataset.note": "",
    }
    tags = {name: value for name, value in run.data.tags.items() if name != "kd_lab.identity"}
    assert tags == {
        "kd_lab.fingerprint.tokens": "1" * 16,
        "kd_lab.fingerprint.fit": "2" * 16,
        "kd_lab.fingerprint.result": "3" * 16,
        "kd_lab.git_commit": "0123456789abcdef0123456789abcdef01234567-dirty",
        "mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567",
        "kd_lab.cell": ours.cell,
        "kd_lab.study": "seeds/all",
        "kd_lab.status": "finished",
        "kd_lab.warnings": "12 rows of test stand in train too\nanother",
        "mlflow.runName": ours.cell,
    }
    client = connect(store.uri)
    curve = client.get_metric_history(run_id, "epoch/validation/accuracy")
    assert [(point.step, point.value) for point in curve] == [(0, 0.5), (1, 0.875), (2, 0.85)]
    stored = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert results.read(stored) == ours
    assert (stored / "table.md").read_text(encoding="utf-8") == "| a |"


def test_mirroring_again_from_memory_or_from_disk_adds_no_run(store: MlflowTracking, tmp_path: Path) -> None:
    ours = result("seeds/again", fingerprint={})  # even where it has no fingerprint
    ours.write(tmp_path)
    ids = {store.mirror(one, {}, None) for one in (ours, copy.deepcopy(ours), results.read(tmp_path))}
    assert len(ids) == len(runs(store, "seeds/again")) == 1
    other = result("seeds/again", fingerprint={}, cell="seed=2")
    assert store.mirror(other, {}, None) not in ids
    assert len(runs(store, "seeds/again")) == 2


def test_a_failed_run_is_logged_as_failed_once_and_its_repair_beside_it(store: MlflowTracking) -> None:
    failed = result("seeds/failed", status="failed", error="FitError: nan", metrics={}, cost={}, history=[])
    assert store.mirror(failed, {}, None) == store.mirror(failed, {}, None)
    (run,) = runs(store, "seeds/failed")
    assert (run.info.status, run.data.tags["kd_lab.error"]) == ("FAILED", "FitError: nan")
    store.mirror(result("seeds/failed"), {}, None)  # same fingerprint, now finished
    assert sorted(run.info.status for run in runs(store, "seeds/failed")) == ["FAILED", "FINISHED"]


def test_a_run_that_was_killed_half_way_is_replaced(
    store: MlflowTracking, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(mlflow_tracking, "log_values", killed)
        with pytest.raises(KeyboardInterrupt):
            store.mirror(result("seeds/killed"), {}, model)
    (half,) = runs(store, "seeds/killed")
    assert half.info.status == "RUNNING"
    run_id = store.mirror(result("seeds/killed"), {}, model)
    (whole,) = runs(store, "seeds/killed")
    assert (whole.info.run_id, whole.info.status) == (run_id, "FINISHED")
    assert run_id != half.info.run_id
    models = connect(store.uri).search_logged_models([whole.info.experiment_id])
    assert [found.source_run_id for found in models] == [run_id]


def test_the_logged_model_predicts_from_a_table_and_holds_no_pickle(
    store: MlflowTracking, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow
    from pandas import DataFrame

    run_id = store.mirror(result("seeds/model"), {}, model)
    assert capfd.readouterr() == ("", "")
    (run,) = runs(store, "seeds/model")
    (output,) = run.outputs.model_outputs
    logged = connect(store.uri).get_logged_model(output.model_id)
    assert (logged.source_run_id, str(logged.status), logged.name) == (run_id, "READY", "model")
    assert {metric.key: metric.value for metric in logged.metrics}["test/accuracy"] == 0.8125
    served = mlflow.pyfunc.load_model(logged.artifact_location)
    inputs, outputs = served.metadata.signature.inputs, served.metadata.signature.outputs
    assert [(one.name, one.type.name, one.required) for one in inputs] == [
        ("text", "string", True),
        ("text_pair", "string", False),
    ]
    assert [(one.name, one.type.name) for one in outputs] == [("label", "string"), ("probability", "double")]
    texts = ["a fine day", "rain", "storms and hail over the whole north"]
    said = served.predict(DataFrame({"text": texts}))
    labels, probabilities = TextClassifier(model).predict(texts)
    assert list(said.columns) == ["label", "probability"]
    assert said["label"].tolist() == labels
    assert said["probability"].tolist() == probabilities.max(axis=1).tolist()
    pairs = served.predict(DataFrame({"text": texts, "text_pair": texts[::-1]}))
    assert pairs["probability"].tolist() == TextClassifier(model).predict(texts, texts[::-1])[1].max(axis=1).tolist()
    files = [path for path in Path(store.artifacts).rglob("*") if path.is_file()]
    assert any(path.name == "mlflow_model.py" for path in files)
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".bin")]


def test_no_model_is_copied_where_log_model_is_off(store: MlflowTracking, model: Path) -> None:
    quiet = MlflowTracking(store.uri, store.artifacts, experiment="seeds/named", log_model=False)
    quiet.mirror(result("seeds/other"), {}, model)
    (run,) = runs(store, "seeds/named")
    assert connect(store.uri).search_logged_models([run.info.experiment_id]) == []


def test_many_long_and_oddly_named_values_are_taken(store: MlflowTracking, model: Path) -> None:
    config = {"many": {f"option{index}": index for index in range(250)}, "long": "x" * 9000, "we(ird)//k/": 1, "e": {}}
    history = [{f"train/term{index}": float(epoch) for index in range(20)} for epoch in range(60)]
    metrics = {"test": {"accuracy": 0.5, "per class/é (1)": 0.25, "none": None, "names": ["a", "b"]}}
    odd = result("seeds/odd: 'x'", cell="a='b'", config=config, history=history, metrics=metrics)
    assert store.mirror(odd, {}, model) is not None
    (run,) = runs(store, "seeds/odd: 'x'")
    assert len(run.data.params) == 253
    assert len(run.data.params["long"]) == 500
    assert run.data.metrics["test/per class/é _1_"] == 0.25
    assert run.data.metrics["epoch/train/term19"] == 59.0


def test_mlflows_global_store_and_active_run_are_left_alone(
    store: MlflowTracking, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = mlflow.get_tracking_uri()
    store.mirror(result("seeds/global"), {}, model)
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() == before != store.uri


def test_a_server_that_is_away_costs_one_warning_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = MlflowTracking("http://127.0.0.1:9", str(tmp_path))
    with caplog.at_level(logging.WARNING, "kd_lab"):
        assert away.mirror(result("seeds/away"), {}, None) is None
    (line,) = [record.getMessage() for record in caplog.records if record.name == "kd_lab"]
    assert "\n" not in line
    assert "http://127.0.0.1:9 did not take seeds/away" in line
    assert "`kd-lab report seeds/away --sync`" in line
    assert list(tmp_path.iterdir()) == []  # no lock is made for a server


@pytest.mark.parametrize("trouble", ["damaged store", "missing file"])
def test_any_other_trouble_costs_a_warning_too(
    store: MlflowTracking, tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    files: dict[str, Path] = {}
    if trouble == "damaged store":
        (tmp_path / "mlflow.db").write_text("garbage " * 1000, encoding="utf-8")
        store = MlflowTracking(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "mlartifacts"))
    else:
        files = {"table.md": tmp_path / "nowhere.md"}
    with caplog.at_level(logging.WARNING, "kd_lab"):
        assert store.mirror(result("seeds/trouble"), files, None) is None
    assert "did not take seeds/trouble" in caplog.text


_PROCESS = """
import json, logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stderr)  # as a user's notebook may
from kd_lab.core.results import RunResult
from kd_lab.tracking.mlflow_tracking import MlflowTracking
assert "mlflow" not in sys.modules, "importing kd_lab.tracking.mlflow_tracking must stay fast"
store, result = MlflowTracking(sys.argv[1], sys.argv[2]), RunResult(**json.loads(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
print(store.mirror(result, {}, None))
"""


def test_two_processes_may_create_the_store_at_once_and_say_nothing(tmp_path: Path) -> None:
    store = MlflowTracking(f"sqlite:///{tmp_path}/new/mlflow.db", str(tmp_path / "new" / "mlartifacts"))
    cells = [result("seeds/both", cell=f"seed={seed}") for seed in (0, 1)]
    where = [sys.executable, "-c", _PROCESS, store.uri, store.artifacts]
    pipe = subprocess.PIPE
    both = [
        subprocess.Popen([*where, json.dumps(asdict(cell))], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        for cell in cells
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [errors for _, errors in said] == ["", ""]
    found = runs(store, "seeds/both")
    assert {run.info.run_id for run in found} == {output.strip() for output, _ in said}
    assert {run.info.status for run in found} == {"FINISHED"}


def test_no_tracking_mirrors_nothing(tmp_path: Path) -> None:
    assert NoTracking().mirror(result("seeds/none"), {}, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mlflow", "none"])
def test_each_yaml_binds_to_the_class_it_names(name: str) -> None:
    register()
    config = OmegaConf.merge({"paths": {"multirun": "multirun"}}, {"tracking": OmegaConf.load(CONF / f"{name}.yaml")})
    options: dict[str, Any] = dict(OmegaConf.to_container(config, resolve=True)["tracking"])  # type: ignore[index,call-overload,arg-type]
    kind = getattr(mlflow_tracking, options.pop("_target_").removeprefix("kd_lab.tracking.mlflow_tracking."))
    assert set(inspect.signature(kind).parameters) == set(options)
    assert options.get("uri", "sqlite:///multirun/mlflow.db") == "sqlite:///multirun/mlflow.db"
