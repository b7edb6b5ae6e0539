"""A search that goes on where it stopped: which trial is next, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.redact import redacted
from kd_lab.sweeps.search.objective import Objective
from kd_lab.sweeps.search.pruner import pruner
from kd_lab.sweeps.search.sampler import sampler
from kd_lab.sweeps.search.space import Space
from kd_lab.sweeps.search.storage import open_storage, optuna_library
from kd_lab.sweeps.search.trial import PRUNER

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

RETRY = "retry_of"  # attribute of a trial that repeats one which a kill cut short
CUT_SHORT = "cut_short"  # attribute of that one: it has no place in the search
CELL, ERROR = "cell", "error"  # attributes: the cell's folder name, why it failed
DATA = "data"  # attribute: the names of the texts that its cell learned from, see `data_of`
ABOUT = "about"  # attribute of the study: what it is made from


@dataclass(frozen=True)
class SearchPlan:
    """All that a search is told."""

    study: str
    storage: str  # URL
    space: Space
    objectives: Sequence[Objective]
    trials: int  # that shall be finished or pruned in the end, those of earlier starts included
    batch: int
    sampler: str
    pruner: str
    seed: int
    free: frozenset[str]  # overrides that may differ when the search goes on

    def about(self) -> dict[str, Any]:
        """What makes two searches one, as plain data."""
        about = {
            "objectives": [f"{objective.path}: {objective.direction}" for objective in self.objectives],
            "axes": sorted(line for key, line in self.space.lines.items() if key in self.space.axes),
            "fixed values": sorted(
                line for key, line in self.space.lines.items() if key not in {*self.space.axes, *self.free}
            ),
        }
        return {name: redacted(lines) for name, lines in about.items()}


class AskedTrial(NamedTuple):
    """A trial to run."""

    number: int  # from 0
    values: Mapping[str, Any]  # of the axes


class Search:
    """An Optuna study that one process leads; others may report to its trials.

    Raises:
        UserError: the study is there and searches something else.
    """

    def __init__(self, plan: SearchPlan) -> None:
        optuna = optuna_library()
        self.plan, self._states = plan, optuna.trial.TrialState
        storage = open_storage(plan.storage, new=True)
        names = [study.study_name for study in storage.get_all_studies()]
        directions = [objective.direction for objective in plan.objectives]
        self.study: Study = (
            optuna.load_study(study_name=plan.study, storage=storage)
            if plan.study in names
            else optuna.create_study(study_name=plan.study, storage=storage, directions=directions)
        )
        self._check_same()
        self.study.set_user_attr(PRUNER, plan.pruner)
        self.study.pruner = pruner(plan.pruner)
        self._again()
        self.left = max(0, plan.trials - len(self._done()))  # trials to ask for in this start
        if plan.sampler == "grid":
            self._queue_grid()
        self.failed = 0  # in this start

    def ask(self, most: int) -> list[AskedTrial]:
        """The next trials, at most `most`; none when the search is over."""
        asked = []
        for _ in range(min(most, self.left)):
            plan = self.plan
            self.study.sampler = sampler(plan.sampler, plan.seed, self._place(), plan.trials, plan.batch)
            trial = self.study.ask(dict(plan.space.axes))
            asked.append(AskedTrial(trial.number, trial.params))
        self.left -= len(asked)
        return asked

    def _place(self) -> int:
        """Of the next trial in the search: how many there were, not counting those that a kill cut short."""
        return sum(CUT_SHORT not in trial.user_attrs for trial in self.study.get_trials(deepcopy=False))

    def tell(self, number: int, folder: Path) -> str:
        """Tells what lies in a trial's cell.

        Returns:
            a few words on it.

        Raises:
            UserError: the result lacks a figure that is searched for.
        """
        try:
            result = results.attempt(folder)
        except UserError as error:
            return self.tell_failed(number, str(error), folder.name)
        if result.status == "pruned":
            self._finish(number, self._states.PRUNED, cell=folder.name)
            return result.error or "pruned"
        if result.status != "finished":
            return self.tell_failed(number, result.error or result.status, folder.name)
        try:
            values = [objective.of(result) for objective in self.plan.objectives]
        except UserError as error:
            self.tell_failed(number, str(error), folder.name)
            raise
        figures = ", ".join(
            f"{goal.path} {value:.4g}" for goal, value in zip(self.plan.objectives, values, strict=True)
        )
        if not all(map(math.isfinite, values)):
            return self.tell_failed(number, f"not a number: {figures}", folder.name)
        self._finish(number, self._states.COMPLETE, values, cell=folder.name, data=data_of(result.fingerprint) or None)
        return figures

    def cells(self) -> list[str]:
        """Names of the cells of all trials that have finished or were pruned, in this start or before, by number."""
        return [trial.user_attrs[CELL] for trial in self._done() if CELL in trial.user_attrs]

    def refuse_other_data(self, now: Callable[[Mapping[str, Any]], str | None]) -> None:
        """Refuses to go on where the data are others than those of the trials that have finished.

        Args:
            now: values of the axes -> what `data_of` their cell would say; None where that has finished as it is.

        Raises:
            UserError: one would learn from others.
        """
        for trial in self.study.get_trials(deepcopy=False, states=(self._states.COMPLETE,)):
            noted = trial.user_attrs.get(DATA)
            if noted is not None and now(trial.params) not in (None, noted):
                expected = "the data of its trials, which new ones are compared with"
                raise self._another(expected, f"others than trial {trial.number} had")

    def tell_failed(self, number: int, why: str, cell: str | None = None) -> str:
        """Tells that a trial failed; the search goes on without it."""
        self.failed += 1
        self._finish(number, self._states.FAIL, cell=cell, error=redacted(why))
        return f"failed: {redacted(why)}"

    def _finish(self, number: int, state: Any, values: Sequence[float] | None = None, **about: str | None) -> None:
        storage = self.study._storage  # Optuna's study has no way of its own to note something on a trial by number
        trial = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        for key, value in about.items():
            if value is not None:
                storage.set_trial_user_attr(trial, key, value)
        self.study.tell(number, values, state)

    def _done(self) -> list[FrozenTrial]:
        """The trials that have finished or were pruned, by number."""
        return self.study.get_trials(deepcopy=False, states=(self._states.COMPLETE, self._states.PRUNED))

    def _check_same(self) -> None:
        """A study that is there must search the same: its trials count, and are compared with the new ones."""
        about, there = self.plan.about(), self.study.user_attrs.get(ABOUT)
        if there is None:
            self.study.set_user_attr(ABOUT, about)
        elif there != about:
            part = next(key for key in about if there.get(key) != about[key])
            raise self._another(f"the {part} with which it began, {_words(there.get(part))}", _words(about[part]))

    def _another(self, expected: str, got: str) -> UserError:
        where = f"study {self.plan.study} in {self.plan.storage}"
        return UserError(where, expected=expected, got=got, cure="Choose another name=...")

    def _again(self) -> None:
        """Queues anew what a kill cut short: its trial is told failed, its values come first."""
        queued = self.study.get_trials(deepcopy=False, states=(self._states.WAITING,))
        retried = {trial.user_attrs.get(RETRY) for trial in queued}  # by a start that was killed in these lines
        for trial in self.study.get_trials(deepcopy=False, states=(self._states.RUNNING,)):
            self.study._storage.set_trial_user_attr(trial._trial_id, CUT_SHORT, True)
            values = trial.system_attrs.get("fixed_params", trial.params)
            if trial.number not in retried and set(values) == set(self.plan.space.axes):  # else killed while asked for
                self.study.enqueue_trial(values, user_attrs={RETRY: trial.number})
            self.study.tell(trial.number, state=self._states.FAIL)

    def _queue_grid(self) -> None:
        """Queues the combinations that are neither done nor queued."""
        queued = self.study.get_trials(deepcopy=False, states=(self._states.WAITING,))
        known = [trial.params for trial in self._done()] + [trial.system_attrs["fixed_params"] for trial in queued]
        new = [values for values in self.plan.space.grid() if values not in known]
        self.left = min(self.left, len(queued) + len(new))
        for values in new[: self.left - len(queued)]:
            self.study.enqueue_trial(values)


def data_of(fingerprint: Mapping[str, str]) -> str:
    """What a cell's fingerprint says of the texts that it learned from, whatever machine it runs on."""
    return " ".join(fingerprint[name] for name in ("tokens", "transfer") if name in fingerprint)


def _words(lines: Sequence[str] | None) -> str:
    return ", ".join(lines) if lines else "none"
