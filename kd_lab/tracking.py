"""Mirrors finished and failed runs into MLflow. result.json stays the truth: losing MLflow loses nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kd_lab.cache import fingerprint
from kd_lab.mlflow_run import log_costs, log_model, log_values, parameters, tags
from kd_lab.mlflow_store import Store, connect, find_parent
from kd_lab.option_types import NonEmpty, PathName
from kd_lab.results import RunResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LEVEL = "kd_lab.level"  # a sweep's tag: the cells that it was brought level with


class NoTracking:
    """Mirrors nothing."""

    def begin(self, study: str) -> None:
        """Nothing."""

    def mirror(
        self, result: RunResult, files: Mapping[str, Path], model: Path | None, title: str = "", *, parent: bool = False
    ) -> str | None:
        """None."""

    def missing(self, results: Sequence[RunResult]) -> list[RunResult]:
        """None of them."""
        return []

    def mirror_study(
        self, cells: Sequence[RunResult], files: Mapping[str, Path], metrics: Mapping[str, float], words: dict[str, str]
    ) -> str | None:
        """None."""


@dataclass(frozen=True)
class MlflowTracking:
    """Mirrors each run into an MLflow store, once; the runs of a sweep as children of one run.

    A store that fails costs a warning, never a run.

    Args:
        uri: the store, `sqlite:///FILE` or a server's `http://...`.
        artifacts: the folder for files and models of new experiments; a server uses its own.
        experiment: the experiment's name; None takes the run's name.
        log_model: whether to copy the fitted model too, ready to be served.
    """

    uri: NonEmpty
    artifacts: PathName
    experiment: NonEmpty | None = None
    log_model: bool = True

    def begin(self, study: str) -> None:
        """Makes the store, the experiment and the sweep's own run before several processes ask for them."""
        with self._store.forgiving(study, study), self._store.alone():
            client = connect(self.uri)
            run = self._store.parent(client, self._experiment(client, study), study)
            client.update_run(run, "RUNNING")

    def mirror(
        self, result: RunResult, files: Mapping[str, Path], model: Path | None, title: str = "", *, parent: bool = False
    ) -> str | None:
        """Logs one run; one that is there already is left alone, one that was cut off is replaced.

        Args:
            result: what happened.
            files: name -> file to keep beside `result.json`, such as a figure.
            model: the folder of the fitted model, or None.
            title: what the run is called; the cell's name where it is empty.
            parent: whether it is a cell of a sweep.

        Returns:
            MLflow's id of the run, or None where the store failed: that is logged as a warning, never raised.
        """
        with self._store.forgiving(f"{result.name}/{result.cell}", result.name), self._store.alone():
            kept = model if self.log_model else None
            return self._mirror(connect(self.uri), result, files, kept, title or result.cell, parent)
        return None

    def missing(self, results: Sequence[RunResult]) -> list[RunResult]:
        """Those that the store does not hold whole and as they are; none where it is away."""
        if not results:
            return []
        study = results[0].name
        with self._store.forgiving(study, study), self._store.alone():
            client, known = connect(self.uri), set()
            experiment, page = self._experiment(client, study), None
            parent = find_parent(client, experiment, study)
            if parent and client.get_run(parent).data.tags.get(_LEVEL) == _level(results):
                return []
            while page != "":
                runs = client.search_runs([experiment], max_results=1000, page_token=page)
                states = [run.data.tags for run in runs if run.info.status != "RUNNING"]
                known |= {(told.get("kd_lab.identity"), told.get("kd_lab.contended")) for told in states}
                page = runs.token or ""
            return [one for one in results if (_identity(one), tags(one).get("kd_lab.contended")) not in known]
        return []

    def mirror_study(
        self, cells: Sequence[RunResult], files: Mapping[str, Path], metrics: Mapping[str, float], words: dict[str, str]
    ) -> str | None:
        """Brings a sweep's own run level with its cells.

        Args:
            cells: all that belong to it.
            files: name -> file, such as its table and its pictures.
            metrics: of the sweep as a whole, such as the best setting's.
            words: tag -> what is to be said of it, such as the best setting.

        Returns:
            MLflow's id of the run, or None where the store failed.
        """
        study, state = cells[0].name, "FAILED" if any(cell.status == "failed" for cell in cells) else "FINISHED"
        with self._store.forgiving(study, study), self._store.alone():
            client = connect(self.uri)
            run = self._store.parent(client, self._experiment(client, study), study)
            texts = [path.read_bytes().hex() for path in files.values() if path.suffix == ".csv"]
            identity, earlier = fingerprint([metrics, words, texts]), client.get_run(run)
            if earlier.data.tags.get("kd_lab.identity") == identity:  # pictures are made from the same figures
                if earlier.info.status != state:
                    client.set_terminated(run, state)
                return run
            with TemporaryDirectory() as folder:
                for name, path in files.items():
                    shutil.copyfile(path, Path(folder) / name)
                client.log_artifacts(run, folder)
            for name, value in metrics.items():
                client.log_metric(run, name, value)
            for name, text in {**words, "kd_lab.identity": identity, _LEVEL: _level(cells)}.items():
                client.set_tag(run, name, text)
            client.set_terminated(run, state)
            return run
        return None

    @property
    def _store(self) -> Store:
        return Store(self.uri, self.artifacts)

    def _experiment(self, client: MlflowClient, study: str) -> str:
        return self._store.experiment(client, self.experiment or study)

    def _mirror(
        self,
        client: MlflowClient,
        result: RunResult,
        files: Mapping[str, Path],
        model: Path | None,
        title: str,
        parent: bool,
    ) -> str:
        experiment, about = self._experiment(client, result.name), tags(result)
        for earlier in client.search_runs([experiment], f"tags.`kd_lab.identity` = '{_identity(result)}'"):
            run = str(earlier.info.run_id)
            if earlier.info.status != "RUNNING":
                if earlier.data.tags.get("kd_lab.contended") == "true" != about.get("kd_lab.contended"):
                    _log_files(client, run, result, files)
                    log_costs(client, run, result)
                    client.delete_tag(run, "kd_lab.contended")
                return run
            for half in client.search_logged_models([experiment], f"source_run_id = '{run}'"):
                client.delete_logged_model(half.model_id)
            client.delete_run(run)
        if parent:
            about["mlflow.parentRunId"] = self._store.parent(client, experiment, result.name)
        about["kd_lab.identity"] = _identity(result)
        began = int(1000 * (time.time() - sum(result.durations_s.values())))  # what MLflow shows as its duration
        run = str(client.create_run(experiment, start_time=began, tags=about, run_name=title).info.run_id)
        _log_files(client, run, result, files)
        values = parameters(result.config)
        logged = log_model(client, experiment, run, values, model) if model else None
        log_values(client, run, result, values, logged)
        client.set_terminated(run, "FAILED" if result.status == "failed" else "FINISHED")
        return run


def _identity(result: RunResult) -> str:
    """The same for the same cell made in the same way; a failure is known by all it says."""
    made = result.fingerprint.get("result") if result.status == "finished" else None
    return fingerprint([result.cell, made or asdict(result)])


def _level(results: Sequence[RunResult]) -> str:
    """Names a set of runs as they are now."""
    return fingerprint(sorted(f"{_identity(one)} {tags(one).get('kd_lab.contended')}" for one in results))


def _log_files(client: MlflowClient, run: str, result: RunResult, files: Mapping[str, Path]) -> None:
    with TemporaryDirectory() as folder:
        result.write(Path(folder))
        for name, path in files.items():
            shutil.copyfile(path, Path(folder) / name)
        client.log_artifacts(run, folder)
