"""Mirrors finished and failed runs into MLflow. result.json stays the truth: losing MLflow loses nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.core import redact
from kd_lab.core.cache import fingerprint
from kd_lab.core.option_types import NonEmpty, PathName
from kd_lab.core.progress import say
from kd_lab.core.results import CELL_S, RunResult
from kd_lab.serving.served import Served
from kd_lab.tracking import mlflow_level
from kd_lab.tracking.mlflow_address import EXPERIMENT, PASSED_OVER, URI, default_uri, live_uri, sqlite_file
from kd_lab.tracking.mlflow_failures import Forgiving, failed_recently
from kd_lab.tracking.mlflow_level import IDENTITY, complete_runs, find_run, log_files, state
from kd_lab.tracking.mlflow_run import log_model, log_values, parameters, tags
from kd_lab.tracking.mlflow_store import STUDY, Store, connect, find_parent

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LEVEL = "kd_lab.level"  # a sweep's tag: the cells that it was brought level with
_said: set[str] = set()  # what this process has told of where runs go


class NoTracking:
    """Mirrors nothing."""

    def begin(self, study: str) -> None:
        """Nothing."""

    def mirror(self, *_: object, **__: object) -> str | None:
        """None."""

    def missing(self, *_: object, **__: object) -> list[RunResult]:
        """None of them: an empty list."""
        return []

    def mirror_study(self, *_: object, **__: object) -> str | None:
        """None."""


@dataclass(frozen=True)
class MlflowTracking:
    """Mirrors each run into an MLflow store, once; the runs of a sweep as children of one run.

    A store that fails costs a warning, never a run.

    Args:
        uri: the store, `sqlite:///FILE` or a server's `http://...`; None takes MLFLOW_TRACKING_URI, else a file beside
            the artifacts. As a result holds it, without credentials, it is enough where this process knows them.
        artifacts: the folder for files and models of new experiments; a server uses its own.
        experiment: the experiment's name; None takes the run's name.
        log_model: whether to copy the fitted model too, ready to be served.
    """

    uri: NonEmpty | None
    artifacts: PathName
    experiment: NonEmpty | None = None
    log_model: bool = True

    def __post_init__(self) -> None:
        if self.uri is None:
            object.__setattr__(self, "uri", default_uri(str(Path(self.artifacts).parent)))
        redact.remember(str(self.uri))  # results hold it without credentials

    def begin(self, study: str) -> None:
        """Makes the store, the experiment and the sweep's own run before several processes ask for them."""
        self.announce()
        with Forgiving(self._store.uri, study, study), self._store.exclusive():
            client, experiment = self._opened(study)
            client.update_run(self._store.parent(client, experiment, study), "RUNNING")

    def mirror(
        self,
        result: RunResult,
        files: Mapping[str, Path],
        model: Path | None,
        title: str = "",
        *,
        parent: bool = False,
        tell: Callable[[Served], None] | None = None,
    ) -> str | None:
        """Logs one run; one that is there already is left alone, one that was cut off is replaced.

        Args:
            result: what happened.
            files: name -> file to keep beside `result.json`, such as a figure.
            model: the folder of the fitted model, or None.
            title: what the run is called; the cell's name where it is empty.
            parent: whether it is a cell of a sweep.
            tell: told how MLflow serves the model, where it keeps it, before the run counts as whole: after a kill it
                is told again.

        Returns:
            MLflow's id of the run, or None where the store failed: that is logged as a warning, never raised.
        """
        if parent and failed_recently(self._store.uri):
            return None  # the end of the sweep, or `kd-lab report NAME --sync`, catches up
        if not parent:
            self.announce()
        result = result.public()
        with Forgiving(self._store.uri, f"{result.name}/{result.cell}", result.name), self._store.exclusive():
            (client, experiment), about = self._opened(result.name), tags(result)
            model = model if self.log_model else None
            tell = tell if model else None
            if kept := find_run(client, experiment, result, files, about):
                if tell:
                    tell(self._served(kept))
                return kept
            if parent:
                about["mlflow.parentRunId"] = self._store.parent(client, experiment, result.name)
            about |= {IDENTITY: mlflow_level.identity(result), STUDY: result.name}
            ended = int(1000 * time.time())
            began = ended - int(1000 * seconds(result))  # the two are what MLflow shows as its duration
            made = client.create_run(experiment, start_time=began, tags=about, run_name=title or result.cell)
            run = str(made.info.run_id)
            log_files(client, run, files, result)
            values = parameters(result.config)
            logged = log_model(client, experiment, run, values, model) if model else None
            log_values(client, run, result, values, logged)
            if tell:
                tell(self._served(run))
            client.set_terminated(run, "FAILED" if result.status == "failed" else "FINISHED", ended)
            return run
        return None

    def missing(self, results: Sequence[RunResult], thorough: bool = False) -> list[RunResult] | None:
        """Those that the store does not hold whole and as they are; None where it is away.

        Args:
            results: of one study.
            thorough: whether to look at every run, and to mend what a user or a kill has left: a deleted run counts as
                missing, the second of two runs of a cell and a half of a whole one are deleted.
        """
        if not results:
            return []
        if thorough:
            self.announce()
        study, results = results[0].name, [one.public() for one in results]
        with Forgiving(self._store.uri, study, study), self._store.exclusive():
            client, experiment = self._opened(study)
            parent = find_parent(client, experiment, study)
            if not thorough and parent and client.get_run(parent).data.tags.get(_LEVEL) == mlflow_level.level(results):
                return []
            known = complete_runs(client, self._store, experiment, study, thorough)
            return [one for one in results if state(one) not in known]
        return None

    def mirror_study(
        self,
        cells: Sequence[RunResult],
        files: Mapping[str, Path],
        metrics: Mapping[str, float],
        words: dict[str, str],
        level: bool = True,
    ) -> str | None:
        """Brings a sweep's own run level with its cells.

        Args:
            cells: all that belong to it.
            files: name -> file, such as its table and its pictures.
            metrics: of the sweep as a whole, such as the best setting's.
            words: tag -> what is to be said of it, such as the best setting.
            level: whether the store holds all of the cells.

        Returns:
            MLflow's id of the run, or None where the store failed.
        """
        study, ending = cells[0].name, "FAILED" if any(cell.status == "failed" for cell in cells) else "FINISHED"
        with Forgiving(self._store.uri, study, study), self._store.exclusive():
            client, experiment = self._opened(study)
            run = self._store.parent(client, experiment, study)
            texts = [path.read_bytes().hex() for path in files.values() if path.suffix == ".csv"]
            identity, earlier = fingerprint([metrics, words, texts]), client.get_run(run)
            brought = {_LEVEL: mlflow_level.level([one.public() for one in cells])} if level else {}
            if earlier.data.tags.get(IDENTITY) == identity:  # pictures are made from the same figures
                for name, text in brought.items():
                    client.set_tag(run, name, text)
                if earlier.info.status != ending:
                    client.set_terminated(run, ending)
                return run
            log_files(client, run, files)
            for name, value in metrics.items():
                if earlier.data.metrics.get(name) != value:  # an earlier attempt may have been cut off behind it
                    client.log_metric(run, name, value)
            for name, text in {**redact.redacted(words), **brought, IDENTITY: identity}.items():
                client.set_tag(run, name, text)
            client.set_terminated(run, ending)
            return run
        return None

    @property
    def _store(self) -> Store:
        return Store(redact.live(str(self.uri), URI) or str(self.uri), self.artifacts)

    def announce(self) -> None:
        """Says once where runs go where an environment variable of MLflow's decides it, or would elsewhere."""
        told = []
        if self._store.uri == os.environ.get(URI):
            told.append(f"MLflow: runs go to {redact.text(self._store.uri)}, as {URI} says")
        if self.experiment and self.experiment == os.environ.get(EXPERIMENT):
            told.append(f"MLflow: the experiment is {self.experiment}, as {EXPERIMENT} says")
        told += [f"MLflow: {name} is not followed: {why}" for name, why in PASSED_OVER.items() if os.environ.get(name)]
        for line in told:
            if line not in _said:
                _said.add(line)
                say(line)

    def _opened(self, study: str) -> tuple[MlflowClient, str]:
        """A client of the store, and the id of a study's experiment."""
        client = connect(live_uri(self._store.uri, study))
        return client, self._store.experiment(client, self.experiment or study)

    def _served(self, run: str) -> Served:
        """By which line the model of a run is served, from any folder."""
        uri, file = self._store.uri, sqlite_file(self._store.uri)
        if file is not None and not file.is_absolute():
            uri = uri.replace(str(file), str(file.resolve()), 1)
        return Served(redact.text(uri), run)


def seconds(result: RunResult) -> float:
    """How long the cell took: as it says, or, of an earlier kd_lab's, its steps together."""
    return result.durations_s.get(CELL_S, sum(result.durations_s.values()))
