"""What of a result goes into an MLflow run, and under which names."""

from __future__ import annotations

import json
import re
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from kd_lab.core.cache import fingerprint
from kd_lab.core.nested import is_number
from kd_lab.core.results import RunResult
from kd_lab.data.dataset import MULTI_LABEL
from kd_lab.models import saved_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONTENDED, COSTS = "kd_lab.contended", "kd_lab.costs"  # tags of times taken on a busy machine, which may be taken again


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """Every leaf of a config as text."""
    leaves = _leaves(config, ".").items()
    texts = {safe(name): leaf if isinstance(leaf, str) else json.dumps(leaf) for name, leaf in leaves}
    return {name: text[:500] for name, text in texts.items()}  # MLflow's pages are of no use with longer ones


def log_values(client: MlflowClient, run: str, result: RunResult, values: dict[str, str], model: str | None) -> None:
    """Parameters and metrics; epochs as `epoch/...`, apart from the final values of the compressed model."""
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    parts = {**result.metrics, "fidelity": result.fidelity, "cost": result.cost, "durations_s": result.durations_s}
    final = {f"{part}/{name}": number for part in parts for name, number in _numbers(parts[part]).items()}
    metrics = [Metric(safe(name), number, now, 0, model_id=model, run_id=run) for name, number in final.items()]
    for epoch, found in enumerate(result.history):
        metrics += [Metric(safe(f"epoch/{name}"), number, now, epoch) for name, number in _numbers(found).items()]
    given = [Param(name, value) for name, value in values.items()]
    for start in range(0, max(len(metrics), len(given)), 100):  # MLflow takes 100 parameters at once
        client.log_batch(run, metrics[start : start + 100], given[start : start + 100])


def log_costs(client: MlflowClient, run: str, result: RunResult, known: Mapping[str, float]) -> None:
    """What was measured anew, after the values of before; what the run knows already is not told again."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    costs = {safe(f"cost/{name}"): value for name, value in _numbers(result.cost).items()}
    client.log_batch(run, [Metric(name, v, now, 1) for name, v in costs.items() if known.get(name) != v])


def log_model(client: MlflowClient, experiment: str, run: str, values: dict[str, str], model: Path) -> str:
    """What `mlflow.pyfunc.log_model` does, without its global store and active run."""
    import mlflow

    column = mlflow.types.ColSpec
    asks = mlflow.types.Schema([column("string", "text"), column("string", "text_pair", required=False)])
    multi_label = saved_model.read_card(model).get("task") == MULTI_LABEL
    said = column(mlflow.types.schema.Array("string"), "labels") if multi_label else column("string", "label")
    answers = mlflow.types.Schema([said, column("double", "probability")])
    needs = ("kd_lab", "mlflow", "torch", "transformers", "tokenizers", "safetensors", "numpy", "onnxruntime")
    logged = client.create_logged_model(experiment, "model", run, params=values, model_type="classifier")
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises an input example
        mlflow.pyfunc.save_model(
            Path(folder) / "model",
            python_model=str(Path(__file__).parents[1] / "serving" / "mlflow_model.py"),
            artifacts={"model": model.resolve().as_uri()},  # a cell's name may hold letters special to MLflow
            signature=mlflow.models.ModelSignature(asks, answers),
            pip_requirements=[f"{name}=={version(name)}" for name in needs],
            mlflow_model=mlflow.models.Model(run_id=run, model_uuid=logged.model_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run, [mlflow.entities.LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def tags(result: RunResult) -> dict[str, str]:
    """What a run is tagged with: fingerprints, status, warnings, commit."""
    commit, warned = result.git_commit or "", "\n".join(result.warnings)
    found = {f"kd_lab.fingerprint.{name}": value for name, value in result.fingerprint.items()}
    if result.cost.get("contended"):
        found |= {CONTENDED: "true", COSTS: fingerprint(result.cost)}
    found |= {
        "kd_lab.cell": result.cell,
        "kd_lab.status": result.status,
        "kd_lab.error": result.error or "",
        "kd_lab.warnings": warned,
    }
    found |= {"kd_lab.git_commit": commit, "mlflow.source.git.commit": commit.removesuffix("-dirty")}
    return {name: value for name, value in found.items() if value}


def _leaves(value: Any, joint: str, name: str = "") -> dict[str, Any]:
    """Flat name -> leaf, as `nested.leaves`; but mappings in a list are numbered from 0, and empty ones are there."""
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
        elif is_number(leaf):
            found[name] = float(leaf)
    return found


def safe(name: str) -> str:
    """The name in the letters that MLflow allows, at most 250, and no path but its own."""
    return re.sub(r"[^\w.\- :/]|^/|/(?=[/.]|$)", "_", name)[:250]
