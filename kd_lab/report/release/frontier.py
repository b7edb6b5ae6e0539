"""Measures all models of a study and their teachers anew, in one run, and finds those that none beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core import machine
from kd_lab.core.errors import FitError, UserError
from kd_lab.core.nested import at
from kd_lab.core.progress import step
from kd_lab.core.results import RunResult
from kd_lab.data.dataset import Split
from kd_lab.evaluation import benchmark
from kd_lab.evaluation.benchmark import BenchmarkRequest
from kd_lab.evaluation.scoring import Evaluation
from kd_lab.pipeline.cell import Cell
from kd_lab.pipeline.summary_table import method
from kd_lab.report.figures.pareto_front import optimal
from kd_lab.report.release.reopened import ReopenedCells
from kd_lab.report.study.data_sets import by_cell
from kd_lab.report.study.labels import labels

QUERIES = 60  # texts of test that every model is asked one by one
TEACHER, UNCOMPRESSED, COMPRESSED = "teacher", "uncompressed", "compressed"
COSTS = {"latency": "queries.p50", "size": "size_mib"}  # front -> where its cost stands in a row
BUSY = "Other processes were busy while it was timed: times are not to be trusted."
_SCORES = ("accuracy", "accuracy_in_scope", "recall_out_of_scope")
_WEIGHED = ("parameters", "parameters_nonzero", "size_mib", "peak_memory_mib", "throughput_per_s")


@dataclass(frozen=True)
class Frontier:
    """A study's models, measured side by side.

    Args:
        name: the study.
        machine: `machine.describe_machine()` with `threads`, those of the models.
        versions: package -> version.
        timing: `rounds`, `contended` and `remeasured`, see `benchmark.measure`.
        missing: what could not be measured, and why.
        rows: a model each, teachers first: `label`, `role`, `model`, `method`, `cell` (None for a teacher), `data_set`,
            see `data_sets.by_cell`;
            `accuracy` and what else test says, each with `..._interval` where there is one; `parameters`,
            `parameters_nonzero`, `size_mib`, `peak_memory_mib`, `throughput_per_s`; `shapes`, `queries`,
            `queries_with_tokenisation`, `energy_j_per_1000`; `smaller` (share of the teacher's size that is saved) and
            `speedup` (the teacher's median over its own, one query at a time), None without a teacher;
            `fronts`: of "latency" and "size", those where no model of the data set is as accurate and as cheap and
            better in one.
    """

    name: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    timing: Mapping[str, Any]
    missing: Sequence[str]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class _Model:
    """A saved model before it is measured."""

    about: dict[str, Any]
    folder: Path
    cell: Cell
    teacher: str | None  # its teacher's fingerprint; a teacher's own


def measure(study: Path, cells: Sequence[RunResult], *, threads: int, rounds: int) -> Frontier:
    """Measures every finished cell and every teacher, all in one process that holds them; memory in one for each.

    Args:
        study: its folder under multirun/.
        cells: all of the study.
        threads, rounds: see `benchmark.measure`.

    Raises:
        UserError: no cell finished, a data set or a package is missing, or a model cannot be measured.
    """
    missing = [f"{cell.cell}: {cell.status}" for cell in cells if cell.status != "finished"]
    models = _models(study, cells, missing)
    if not models:
        cure = "Run the study first."
        raise UserError(f"study {cells[0].name!r}", expected="a finished cell", got="none", cure=cure)
    try:
        costs = _costs(models, threads)
        asked = _asked(models)
        with step(f"time {len(models)} models by turns, rounds", benchmark.steps(rounds)) as advance:
            timing = benchmark.measure(asked, threads=threads, rounds=rounds, advance=advance)
    except FitError as error:
        cure = "Type the line that made that cell again."
        raise UserError("frontier", expected="models that load and answer", got=str(error), cure=cure) from error
    rows = [
        {**model.about, **size, **times}
        for model, size, times in zip(models, costs, timing.pop("variants"), strict=True)
    ]
    teachers = {model.teacher: row for model, row in zip(models, rows, strict=True) if row["role"] == TEACHER}
    for model, row in zip(models, rows, strict=True):
        teacher = teachers.get(model.teacher)
        row["smaller"] = 1 - row["size_mib"] / teacher["size_mib"] if teacher else None
        row["speedup"] = teacher["queries"]["p50"] / row["queries"]["p50"] if teacher else None
    for data_set in {row["data_set"] for row in rows}:
        group = [row for row in rows if row["data_set"] == data_set]
        fronts = {name: optimal([(cost(row, name), row["accuracy"]) for row in group]) for name in COSTS}
        for place, row in enumerate(group):
            row["fronts"] = [name for name, found in fronts.items() if place in found]
    here = {**machine.describe_machine(), "threads": threads}
    return Frontier(cells[0].name, here, machine.versions(), timing, missing, rows)


def cost(row: Mapping[str, Any], name: str) -> float:
    """What the model of a row costs, by a name in `COSTS`: ms or MiB."""
    return float(at(row, COSTS[name]))


def _models(study: Path, cells: Sequence[RunResult], missing: list[str]) -> list[_Model]:
    """Teachers, each once, then finished cells; what is not there any more is noted in `missing`."""
    named, rows, teachers, found = labels(cells), by_cell(cells), {}, []
    for result in (cell for cell in cells if cell.status == "finished"):
        cell, config = Cell.of(result.config), result.config
        shared = {"data_set": rows[result.cell]}
        about = {
            "label": named[result.cell],
            "role": COMPRESSED if config["compression"] else UNCOMPRESSED,
            "model": config["model"]["name"],
            "method": method(config),
            "cell": result.cell,
        }
        teacher = result.teacher.get("fingerprint")
        found.append(
            _Model({**about, **shared, **_scores(result.metrics)}, study / result.cell / "model", cell, teacher)
        )
        if teacher and teacher not in teachers:
            name, entry = result.teacher["model"], cell.cache.find("fit", teacher)
            about = {"label": f"teacher {name}", "role": TEACHER, "model": name, "method": TEACHER, "cell": None}
            about |= {**shared, **_scores(result.teacher["metrics"])}
            teachers[teacher] = entry and _Model(about, entry / "model", cell, teacher)
            if entry is None:
                missing.append(f"teacher {name}: not whole in the cache; run a cell of the study again to fit it anew")
    return [*(one for one in teachers.values() if one), *found]


def _scores(metrics: Mapping[str, Any]) -> dict[str, Any]:
    test = metrics["test"]
    return {key: test[key] for name in _SCORES for key in (name, f"{name}_interval") if key in test}


def _costs(models: Sequence[_Model], threads: int) -> list[dict[str, Any]]:
    """Weights, memory and throughput of each, a process of its own each."""
    timer, reopened, found = Evaluation(threads=threads, requests=20, rounds=1), ReopenedCells(), []
    with step("measure memory and throughput, models", len(models)) as advance:
        for model in models:
            tokens = model.cell.read_by(model.folder, reopened.tokens(model.cell))
            own, _ = timer.cost(model.folder, tokens, None, tokens)
            found.append({name: own[name] for name in _WEIGHED})
            advance(1)
    return found


def _asked(models: Sequence[_Model]) -> list[BenchmarkRequest]:
    """Each model with the same texts of its test split."""
    splits: dict[str, Split] = {}
    for model in models:
        name = model.cell.fingerprints["tokens"]
        if name not in splits:
            test = model.cell.dataset.load().splits["test"]
            splits[name] = test.take(np.random.default_rng(0).permutation(len(test.texts))[:QUERIES])
    found = [(model, splits[model.cell.fingerprints["tokens"]]) for model in models]
    return [BenchmarkRequest(model.folder, split.texts, split.pairs) for model, split in found]
