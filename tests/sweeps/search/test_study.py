"""A search that was killed, wherever, goes on with the values that it would have tried."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.sweeps.search.objective import objectives
from kd_lab.sweeps.search.space import read
from kd_lab.sweeps.search.study import AskedTrial, Search, SearchPlan

TRIALS = {"tpe": 14, "random": 5}  # the last four of tpe's are proposed by what the first ten have shown


def plan(folder: Path, sampler: str) -> SearchPlan:
    folder.mkdir(exist_ok=True)
    return SearchPlan(
        study="s",
        storage=f"sqlite:///{folder / 'optuna.db'}",
        space=read(OverridesParser.create().parse_overrides(["x=interval(0,1)", "kind=a,b"])),
        objectives=objectives([{"metrics.validation.accuracy": "maximize"}]),
        trials=TRIALS[sampler],
        batch=1,
        sampler=sampler,
        pruner="none",
        seed=0,
        free=frozenset(),
    )


def finish(search: Search, asked: AskedTrial) -> None:
    search.study.tell(asked.number, float(asked.values["x"]) + (asked.values["kind"] == "a"))


def tried(search: Search) -> list[dict[str, object]]:
    return [trial.params for trial in search.study.trials if trial.state.name == "COMPLETE"]


@pytest.mark.parametrize("sampler", TRIALS)
def test_a_search_that_was_killed_tries_what_it_would_have_tried(tmp_path: Path, sampler: str) -> None:
    whole = Search(plan(tmp_path / "whole", sampler))
    while asked := whole.ask(1):
        finish(whole, asked[0])

    cut = plan(tmp_path / "cut", sampler)
    for number in range(TRIALS[sampler]):
        search = Search(cut)
        (asked,) = search.ask(1)
        if number % 3 == 1:  # killed while the cell runs, and once more when its trial is asked for again
            (asked,) = Search(cut).ask(1)
            search = Search(cut)
            (asked,) = search.ask(1)
        elif number % 3 == 2:  # killed while the trial is asked for: it has no values yet
            finish(search, asked)
            search.study.ask()
            continue
        finish(search, asked)
    assert tried(Search(cut)) == tried(whole)
    assert len(tried(whole)) == TRIALS[sampler]


def test_a_start_that_is_killed_while_it_queues_what_was_cut_short_queues_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = plan(tmp_path / "cut", "tpe")
    search = Search(cut)
    (asked,) = search.ask(1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(search.study), "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            Search(cut)
    again = Search(cut)
    states = [trial.state.name for trial in again.study.trials]
    assert states == ["FAIL", "WAITING"]
    assert again.ask(1)[0].values == asked.values


def test_an_attempt_that_failed_is_not_told_by_the_result_of_before(tmp_path: Path) -> None:
    search, folder = Search(plan(tmp_path, "random")), tmp_path / "cell"
    before = {"metrics": {"validation": {"accuracy": 0.9}}, "fingerprint": {"result": "abc"}}
    RunResult("s", "cell", "finished", {}, **before).write(folder)
    RunResult("s", "cell", "pruned", {}, error="hopeless").write(folder, results.FAILED)
    (asked,) = search.ask(1)
    assert search.tell(asked.number, folder) == "hopeless"
    assert search.study.trials[0].state.name == "PRUNED"


def test_a_search_does_not_go_on_over_other_data(tmp_path: Path) -> None:
    search, folder = Search(plan(tmp_path, "random")), tmp_path / "cell"
    made = {"metrics": {"validation": {"accuracy": 0.9}}, "fingerprint": {"tokens": "abc"}}
    RunResult("s", "cell", "finished", {}, **made).write(folder)
    search.tell(search.ask(1)[0].number, folder)
    again = Search(plan(tmp_path, "random"))
    for unchanged in (None, "abc"):
        again.refuse_other_data(lambda values, now=unchanged: now)  # type: ignore[misc]
    with pytest.raises(UserError, match=r"expected the data of its trials.*than trial 0 had.*Choose another name"):
        again.refuse_other_data(lambda values: "def")
