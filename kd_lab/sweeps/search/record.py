"""What a search found: `optuna.json`, and the best trial or the Pareto front as a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.errors import disk_errors
from kd_lab.core.results import write_atomically
from kd_lab.sweeps.search.space import text
from kd_lab.sweeps.search.study import CELL, ERROR, RETRY, Search

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FILE = "optuna.json"
SCHEMA = 1
STATES = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "queued"}


def best(search: Search) -> list[FrozenTrial]:
    """The best trial, or with several objectives the Pareto front, by number; empty before one has finished.

    Of equally good trials the first is the best.
    """
    return sorted(search.study.best_trials, key=lambda trial: trial.number)[: None if _several(search) else 1]


def write(search: Search, folder: Path) -> Path:
    """Writes `folder/optuna.json`, whole or not at all.

    Its `trials` have number, state, params (override key -> value), values (one an objective, as fractions or in the
    unit of result.json), cell, and error where it failed; `best` is a trial's number, `front` a list of them.
    """
    trials = search.study.get_trials(deepcopy=False)
    cut_short = {trial.user_attrs[RETRY] for trial in trials if RETRY in trial.user_attrs}
    numbers = [trial.number for trial in best(search)]
    about = {
        "schema": SCHEMA,
        "study": search.plan.study,
        "sampler": search.plan.sampler,
        "pruner": search.plan.pruner,
        "objectives": [{goal.path: goal.direction} for goal in search.plan.objectives],
        "trials": [_plain(trial, "interrupted" if trial.number in cut_short else None) for trial in trials],
        **({"front": numbers} if _several(search) else {"best": next(iter(numbers), None)}),
    }
    with disk_errors(folder):
        write_atomically(folder / FILE, json.dumps(about, indent=1, allow_nan=False) + "\n")
    return folder / FILE


def to_rich(search: Search) -> Table:
    """The best trial or the front: number, value of each axis, each objective."""
    trials = search.study.get_trials(deepcopy=False)
    counts = {word: sum(trial.state.name == state for trial in trials) for state, word in STATES.items()}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    what = "Pareto front" if _several(search) else "best trial"
    title = f"{search.plan.study}: {what} of {len(trials)} ({told})"
    axes, goals = search.plan.space.axes, [goal.path for goal in search.plan.objectives]
    lines = [
        [
            str(trial.number),
            *(_short(text(axis, trial.params[key])) for key, axis in axes.items()),
            *(f"{value:.4g}" for value in trial.values),
        ]
        for trial in best(search)
    ]
    return tables.to_rich(title, ["trial", *axes, *goals], lines, words=range(1 + len(axes)))


def _several(search: Search) -> bool:
    return len(search.plan.objectives) > 1


def _plain(trial: FrozenTrial, state: str | None) -> dict[str, Any]:
    params = trial.params or trial.system_attrs.get("fixed_params", {})
    found = {"number": trial.number, "state": state or STATES[trial.state.name], "params": params}
    found["values"] = trial.values if trial.state.name == "COMPLETE" else None
    found["cell"] = trial.user_attrs.get(CELL)
    return {**found, **({"error": trial.user_attrs[ERROR]} if ERROR in trial.user_attrs else {})}


def _short(value: str) -> str:
    """A long fraction to six digits; the whole one stands in optuna.json."""
    try:
        return f"{float(value):.6g}" if len(value) > 8 else value
    except ValueError:
        return value
