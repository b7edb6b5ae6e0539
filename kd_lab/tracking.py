"""Mirrors finished and failed runs into MLflow. result.json stays the truth: losing MLflow loses nothing."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from kd_lab.cache import fingerprint
from kd_lab.results import RunResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {  # a value that the user set in the environment stands
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's 7 keep a cell waiting for minutes when the server is away
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
log = logging.getLogger("kd_lab")


class NoTracking:
    """Mirrors nothing."""

    def mirror(self, result: RunResult, files: Mapping[str, Path], model: Path | None) -> str | None:
        """None."""


@dataclass(frozen=True)
class MlflowTracking:
    """Mirrors each run into an MLflow store, once.

    Args:
        uri: the store, `sqlite:///FILE` or a server's `http://...`.
        artifacts: the folder for files and models of new experiments; a server uses its own.
        experiment: the experiment's name; None takes the run's name.
        log_model: whether to copy the fitted model too, ready to be served.
    """

    uri: str
    artifacts: str
    experiment: str | None = None
    log_model: bool = True

    def mirror(self, result: RunResult, files: Mapping[str, Path], model: Path | None) -> str | None:
        """Logs one run; one that is there already is left alone, one that was cut off is replaced.

        Args:
            result: what happened.
            files: name -> file to keep beside `result.json`, such as a figure.
            model: the folder of the fitted model, or None.

        Returns:
            MLflow's id of the run, or None where the store failed: that is logged as a warning, never raised.
        """
        try:
            with _alone(self.uri):
                return self._mirror(connect(self.uri), result, files, model if self.log_model else None)
        except Exception as error:  # whatever is wrong with a tracking server, the cell's result is safe
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            cure = f"Nothing is lost: `kd-lab report {result.name} --sync` catches up."
            log.warning("MLflow at %s did not take %s/%s (%s). %s", self.uri, result.name, result.cell, why, cure)
            return None

    def _mirror(self, client: MlflowClient, result: RunResult, files: Mapping[str, Path], model: Path | None) -> str:
        finished = result.status == "finished"
        identity = fingerprint([result.cell, (finished and result.fingerprint.get("result")) or asdict(result)])
        name, place = self.experiment or result.name, Path(self.artifacts).resolve().as_uri()
        if (found := client.get_experiment_by_name(name)) is not None:
            experiment = str(found.experiment_id)
        else:
            experiment = client.create_experiment(name, None if self.uri.startswith("http") else place)
        for earlier in client.search_runs([experiment], f"tags.`kd_lab.identity` = '{identity}'"):
            if earlier.info.status != "RUNNING":
                return str(earlier.info.run_id)
            for half in client.search_logged_models([experiment], f"source_run_id = '{earlier.info.run_id}'"):
                client.delete_logged_model(half.model_id)
            client.delete_run(earlier.info.run_id)
        tags = {**_tags(result), "kd_lab.identity": identity}
        run = str(client.create_run(experiment, tags=tags, run_name=result.cell).info.run_id)
        with TemporaryDirectory() as folder:
            result.write(Path(folder))
            for name, path in files.items():
                shutil.copyfile(path, Path(folder) / name)
            client.log_artifacts(run, folder)
        leaves = _leaves(result.config, ".").items()
        texts = {_safe(name): leaf if isinstance(leaf, str) else json.dumps(leaf) for name, leaf in leaves}
        parameters = {name: text[:500] for name, text in texts.items()}  # MLflow's pages are of no use with longer ones
        logged = _log_model(client, experiment, run, parameters, model) if model else None
        _log_values(client, run, result, parameters, logged)
        client.set_terminated(run, "FINISHED" if finished else "FAILED")
        return run


def connect(uri: str) -> MlflowClient:
    """A quiet client of the store; it makes a SQLite store that is not there yet."""
    os.environ.update({**_SETTINGS, **os.environ})
    from mlflow import MlflowClient

    for chatter in ("mlflow", "alembic"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    return MlflowClient(uri)


def _alone(uri: str) -> AbstractContextManager[Any]:
    """One process at a time on a SQLite file: two that create it at once crash each other."""
    file = Path(uri.removeprefix("sqlite:///"))
    lock = file.with_name(f".{file.name}.lock")
    return FileLock(lock, timeout=600) if uri.startswith("sqlite:///") else nullcontext()


def _log_values(client: MlflowClient, run: str, result: RunResult, values: dict[str, str], model: str | None) -> None:
    """Parameters and metrics; epochs as `epoch/...`, apart from the final values of the compressed model."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    parts = {**result.metrics, "fidelity": result.fidelity, "cost": result.cost, "durations_s": result.durations_s}
    final = {f"{part}/{name}": number for part in parts for name, number in _numbers(parts[part]).items()}
    metrics = [Metric(_safe(name), number, now, 0, model_id=model, run_id=run) for name, number in final.items()]
    for epoch, found in enumerate(result.history):
        metrics += [Metric(_safe(f"epoch/{name}"), number, now, epoch) for name, number in _numbers(found).items()]
    parameters = [Param(name, value) for name, value in values.items()]
    for start in range(0, max(len(metrics), len(parameters)), 100):  # MLflow takes 100 parameters at once
        client.log_batch(run, metrics[start : start + 100], parameters[start : start + 100])


def _log_model(client: MlflowClient, experiment: str, run: str, parameters: dict[str, str], model: Path) -> str:
    """What `mlflow.pyfunc.log_model` does, without its global store and active run."""
    import mlflow

    column = mlflow.types.ColSpec
    asks = mlflow.types.Schema([column("string", "text"), column("string", "text_pair", required=False)])
    answers = mlflow.types.Schema([column("string", "label"), column("double", "probability")])
    needs = ("kd_lab", "mlflow", "torch", "transformers", "tokenizers", "safetensors", "numpy", "onnxruntime")
    logged = client.create_logged_model(experiment, "model", run, params=parameters, model_type="classifier")
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises an input example
        mlflow.pyfunc.save_model(
            Path(folder) / "model",
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"model": model.resolve().as_uri()},  # a cell's name may hold letters special to MLflow
            signature=mlflow.models.ModelSignature(asks, answers),
            pip_requirements=[f"{name}=={version(name)}" for name in needs],
            mlflow_model=mlflow.models.Model(run_id=run, model_uuid=logged.model_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [mlflow.entities.LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def _tags(result: RunResult) -> dict[str, str]:
    commit, warned = result.git_commit or "", "\n".join(result.warnings)
    tags = {f"kd_lab.fingerprint.{name}": value for name, value in result.fingerprint.items()}
    tags |= {"kd_lab.status": result.status, "kd_lab.error": result.error or "", "kd_lab.warnings": warned}
    tags |= {"kd_lab.git_commit": commit, "mlflow.source.git.commit": commit.removesuffix("-dirty")}
    return {name: value for name, value in tags.items() if value}


def _leaves(value: Any, joint: str, name: str = "") -> dict[str, Any]:
    """Flat name -> leaf of nested mappings; the mappings in a list are numbered from 0."""
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    before = f"{name}{joint}" if name else ""
    return {flat: leaf for key in value for flat, leaf in _leaves(value[key], joint, f"{before}{key}").items()}


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The numeric leaves: `latency_ms: {p50: 3}` is `latency_ms_p50`; a pair is `_low` and `_high`."""
    found: dict[str, float] = {}
    for name, leaf in _leaves(values, "_").items():
        if isinstance(leaf, list | tuple) and len(leaf) == 2:
            found |= _numbers({f"{name}_low": leaf[0], f"{name}_high": leaf[1]})
        elif isinstance(leaf, int | float) and not isinstance(leaf, bool):
            found[name] = float(leaf)
    return found


def _safe(name: str) -> str:
    """The name in the letters that MLflow allows, at most 250, and no path but its own."""
    return re.sub(r"[^\w.\- :/]|^/|/(?=[/.]|$)", "_", name)[:250]
