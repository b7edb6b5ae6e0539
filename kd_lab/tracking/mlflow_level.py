"""Which runs an MLflow store holds of a study, and the mending of what users, kills and lost requests leave there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kd_lab.core.cache import fingerprint
from kd_lab.core.results import RunResult
from kd_lab.tracking.mlflow_run import CONTENDED, COSTS, log_costs, tags
from kd_lab.tracking.mlflow_store import PARENT, STUDY, Store, quoted, runs_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

IDENTITY = "kd_lab.identity"  # a run's tag
_ABOVE = "mlflow.parentRunId"  # MLflow's own tag: the run that it is shown below
State = tuple[str, str | None]  # identity, and which costs where times were taken on a busy machine: they may change


def identity(result: RunResult) -> str:
    """The same for the same cell made in the same way; a failure is known by all it says."""
    made = result.fingerprint.get("result") if result.status == "finished" else None
    return fingerprint([result.cell, made or asdict(result)])


def state(result: RunResult) -> State:
    """What a run is known by."""
    return identity(result), tags(result).get(COSTS)


def level(results: Sequence[RunResult]) -> str:
    """Names a set of runs as they are now."""
    return fingerprint(sorted(f"{name} {costs}" for name, costs in map(state, results)))


def complete_runs(client: MlflowClient, store: Store, experiment: str, study: str, mend: bool) -> set[State]:
    """The complete runs of a study that are not deleted.

    Args:
        client: of the store.
        store: the same.
        experiment: its id.
        study: whose runs; others may lie in the same experiment.
        mend: whether to put runs below the sweep's own again, and to delete the second of two runs of a cell and the
            half of a whole one.
    """
    active = [run for run in runs_of(client, experiment) if run.info.lifecycle_stage == "active"]
    parent = _only_parent(client, store, experiment, study, active) if mend else None
    cells = [run for run in active if IDENTITY in run.data.tags and PARENT not in run.data.tags]
    cells = [run for run in cells if run.data.tags.get(STUDY, study) == study]
    known: dict[str, str | None] = {}
    for run in sorted(cells, key=lambda run: run.info.status == "RUNNING"):
        told, number = run.data.tags, run.info.run_id
        half = run.info.status == "RUNNING"
        if told[IDENTITY] in known:
            if mend:
                client.delete_run(number)
        elif not half:
            known[told[IDENTITY]] = _costs(told)
            if parent and told.get(_ABOVE, parent) != parent:
                client.set_tag(number, _ABOVE, parent)
    return set(known.items())


def find_run(
    client: MlflowClient, experiment: str, result: RunResult, files: Mapping[str, Path], about: Mapping[str, str]
) -> str | None:
    """The run that holds the result already, brought back where it was deleted; halves and doubles are deleted.

    Args:
        client: of the store.
        experiment: its id.
        result: without credentials.
        files: name -> file that lies beside it.
        about: its tags.
    """
    kept = None
    for earlier in runs_of(client, experiment, f"tags.`{IDENTITY}` = {quoted(identity(result))}"):
        run, deleted = str(earlier.info.run_id), earlier.info.lifecycle_stage == "deleted"
        if earlier.data.tags.get(STUDY, result.name) != result.name:
            continue  # of another study in the same experiment
        if earlier.info.status == "RUNNING" and not deleted:
            for half in client.search_logged_models([experiment], f"source_run_id = '{run}'"):
                client.delete_logged_model(half.model_id)
            client.delete_run(run)
        elif earlier.info.status != "RUNNING" and kept is None:
            if deleted:
                client.restore_run(run)
            if (before := _costs(earlier.data.tags)) is not None and before != about.get(COSTS):
                log_files(client, run, files, result)
                log_costs(client, run, result, earlier.data.metrics)
                for tag in (CONTENDED, COSTS):
                    if tag in about:
                        client.set_tag(run, tag, about[tag])
                    elif tag in earlier.data.tags:
                        client.delete_tag(run, tag)
            kept = run
        elif not deleted:
            client.delete_run(run)
    return kept


def _costs(tags: Mapping[str, str]) -> str | None:
    """What a run's tags say of its costs, that of an older kd_lab only that they were taken on a busy machine."""
    return tags.get(COSTS) or tags.get(CONTENDED)


def log_files(client: MlflowClient, run: str, files: Mapping[str, Path], result: RunResult | None = None) -> None:
    """Copies files into a run under their names, and a cell's `result.json`."""
    with TemporaryDirectory() as folder:
        if result is not None:
            result.write(Path(folder))
        for name, path in files.items():
            shutil.copyfile(path, Path(folder) / name)
        client.log_artifacts(run, folder)


def _only_parent(client: MlflowClient, store: Store, experiment: str, study: str, active: Sequence[Run]) -> str | None:
    """The sweep's own run, None where the study is no sweep; of two such runs the second is deleted."""
    own = [run for run in active if run.data.tags.get(PARENT) == study]
    below = [run for run in active if _ABOVE in run.data.tags and run.data.tags.get(STUDY, study) == study]
    if not own and not below:
        return None
    parent = store.parent(client, experiment, study)
    for run in own:
        if run.info.run_id != parent:
            client.delete_run(run.info.run_id)
    return parent
