"""`hydra/sweeper=optuna` on an app that takes milliseconds, then on kd-lab itself."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from quick_lines import ALONE, STUDENT
from ready_process import ReadyProcess

from kd_lab.__main__ import command
from kd_lab.cli.compose import compose
from kd_lab.core import results
from kd_lab.core.paths import root

CONFIG = """
defaults: [_self_]
name: toy
x: 0.0
kind: a
hold: 0
search: null
hydra:
  sweep: {dir: "multirun/${name}", subdir: "${hydra.job.override_dirname}"}
  job: {config: {override_dirname: {exclude_keys: [name, search, hold]}}}
"""
# accuracy 1 - (x - 0.3)^2, reached in three epochs; kind b is hopeless, c fails in its cell, d breaks the job
APP = """
import sys
import time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from kd_lab.cli import check
from kd_lab.sweeps import launch
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.sweeps.search.trial import Pruned, Trial

def plain_launcher(context, task, config):  # kd-lab's own loads torch to begin tracking
    return Plugins.instance().instantiate_launcher(hydra_context=context, task_function=task, config=config)

launch.launcher = plain_launcher
check.cell = lambda config, folder: None  # it has none of kd-lab's parts

@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config):
    folder = Path(HydraConfig.get().runtime.output_dir)
    if config.kind == "d":
        raise RuntimeError("out of memory")
    result = RunResult(name=config.name, cell=folder.name, status="finished", config={})
    value = 1 - (config.x - 0.3) ** 2 - (config.kind == "b")
    result.metrics, result.cost = {"validation": {"accuracy": value}}, {"size_mib": float(config.x)}
    trial = Trial(**config.search) if config.search else None
    try:
        for epoch in range(3):
            if trial:
                trial.observe(epoch, {"validation/accuracy": value * (epoch + 1) / 3})
    except Pruned as error:
        result.status, result.error = "pruned", str(error)
    if config.kind == "c":
        result.status, result.error = "failed", "kind c"
    if config.hold and trial.number == config.hold:
        (folder / "here").touch()
        time.sleep(600)
    result.write(folder)
    return str(folder)

try:
    main()
except UserError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""
STORES = (
    "optuna.storages._rdb.storage",
    "optuna.storages._rdb.models",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
    "pygments.lexers",
)
PLUGINS = ("hydra_plugins.kd_lab.optuna_sweeper", "kd_lab.sweeps.search.study", "kd_lab.sweeps.search.trial")


@pytest.fixture(scope="module")
def ready():
    """A process that has loaded what the app takes; an app that starts processes of its own is started anew."""
    process = ReadyProcess("hydra", "kd_lab.cli.check", "kd_lab.sweeps.launch", *STORES, *PLUGINS)
    yield process
    process.end()


@pytest.fixture
def app(tmp_path, ready):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(CONFIG)
    shutil.copytree(root() / "conf" / "hydra", tmp_path / "conf" / "hydra")
    (tmp_path / "app.py").write_text(APP)

    def line(*overrides):
        return [sys.executable, "app.py", "-m", "hydra/sweeper=optuna", *overrides]

    def run(*overrides):
        return ready.run(tmp_path, tmp_path / "app.py", *line(*overrides)[2:], HYDRA_FULL_ERROR="1")

    run.folder, run.line = tmp_path, line
    return run


def record(app, name="toy"):
    return json.loads((app.folder / "multirun" / name / "optuna.json").read_text())


def states(found):
    return [trial["state"] for trial in found["trials"]]


def test_a_search_finds_the_best_prunes_the_hopeless_and_outlives_what_fails(app):
    rules = ["hydra.sweeper.trials=16", "hydra.sweeper.max_failures=1", "hydra.sweeper.sampler=grid"]
    done = app(*rules, "x=range(0,0.35,0.1)", "kind=a,b,c,d")
    assert done.returncode == 0, done.stderr
    found = record(app)
    assert len(found["trials"]) == 16
    assert {"finished", "pruned", "failed"} == set(states(found))
    assert {trial.get("error") for trial in found["trials"]} == {None, "kind c", "RuntimeError: out of memory"}
    best = found["trials"][found["best"]]
    assert best["params"] == {"x": pytest.approx(0.3), "kind": "a"}
    assert best["values"] == [pytest.approx(1.0)]
    assert "best trial of 16" in done.stdout
    for trial in found["trials"]:
        if trial["state"] == "pruned":
            cell = results.read(app.folder / "multirun" / "toy" / trial["cell"])
            assert (cell.status, cell.error.split(":")[0]) == ("pruned", "pruned after epoch 1")


def test_the_same_line_adds_nothing_and_a_longer_one_goes_on_with_new_values(app):
    for trials, there in ((6, 6), (6, 6), (10, 10)):
        assert app(f"hydra.sweeper.trials={trials}", "x=interval(0,1)", "hydra.sweeper.sampler=random").returncode == 0
        assert len(record(app)["trials"]) == there
    assert len({trial["params"]["x"] for trial in record(app)["trials"]}) == 10


def test_a_search_goes_on_after_kill_9_and_tries_the_lost_values_again(app):
    line = ["hydra.sweeper.trials=6", "x=interval(0,1)"]
    running = subprocess.Popen(app.line(*line, "hold=3"), cwd=app.folder, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 500  # it takes seconds where nothing else runs, and holds for 600
    while not list(app.folder.glob("multirun/toy/*/here")):
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.05)
    second = app(*line)
    assert second.returncode == 2
    assert "one search at a time" in second.stderr
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = record(app)["trials"]
    assert app(*line).returncode == 0
    found = record(app)["trials"]
    assert found[:3] == before[:3]
    assert found[3]["state"] == "interrupted"
    assert found[4]["params"] == found[3]["params"]
    assert len([trial for trial in found if trial["state"] in ("finished", "pruned")]) == 6


def test_two_objectives_in_parallel_give_the_pareto_front(app):
    goals = "hydra.sweeper.objectives=[{metrics.validation.accuracy:maximize},{cost.size_mib:minimize}]"
    parallel = ["hydra.sweeper.batch=4", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    line = app.line("hydra.sweeper.trials=12", "x=interval(0,1)", goals, *parallel)
    done = subprocess.run(line, cwd=app.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = record(app)
    points = [trial["values"] for trial in found["trials"]]
    front = [
        number
        for number, (accuracy, size) in enumerate(points)
        if not any(a >= accuracy and s <= size and (a, s) != (accuracy, size) for a, s in points)
    ]
    assert found["sampler"] == "nsgaii"
    assert found["front"] == front
    assert len(front) > 1
    assert "Pareto front" in done.stdout


def test_a_grid_runs_each_combination_once_and_a_rerun_the_rest(app):
    line = ["hydra.sweeper.sampler=grid", "hydra.sweeper.pruner=none", "x=range(0,3)", "kind=a,b"]
    assert app(*line, "hydra.sweeper.trials=4").returncode == 0
    assert app(*line).returncode == 0
    tried = [(trial["params"]["x"], trial["params"]["kind"]) for trial in record(app)["trials"]]
    assert sorted(tried) == [(x, kind) for x in (0, 1, 2) for kind in ("a", "b")]


def test_a_search_in_which_too_much_fails_stops(app):
    done = app("hydra.sweeper.trials=20", "x=interval(0,1)", "kind=c", "hydra.sweeper.max_failures=0.1")
    assert "search stopped: 3 trials failed" in done.stderr
    assert len(record(app)["trials"]) == 3
    assert record(app)["best"] is None


def test_another_search_under_the_same_name_is_refused(app):
    assert app("hydra.sweeper.trials=1", "x=interval(0,1)").returncode == 0
    for other in (["x=interval(0,2)"], ["x=interval(0,1)", "kind=b"]):
        done = app("hydra.sweeper.trials=2", *other)
        assert done.returncode == 2
        assert "Choose another name" in done.stderr.splitlines()[-1]
    assert app("hydra.sweeper.trials=2", "x=interval(0,1)", "hold=9").returncode == 0, "hold makes no cell another"


MISTAKES = {
    "no axis": (["x=1"], "an axis to search"),
    "a grid without steps": (["x=interval(0,1)", "hydra.sweeper.sampler=grid"], "sampler=grid"),
    "no such sampler": (["x=0,1", "hydra.sweeper.sampler=best"], "tpe, random"),
    "no trials": (["x=0,1", "hydra.sweeper.trials=0"], "hydra.sweeper.trials"),
    "a share above 1": (["x=0,1", "hydra.sweeper.max_failures=2"], "from 0 to 1"),
    "pruning on a cost": (
        ["x=0,1", "hydra.sweeper.pruner=median", "hydra.sweeper.objectives=[{cost.size_mib:minimize}]"],
        "can be watched",
    ),
    "a storage that is away": (
        ["x=0,1", "name=of/toy", "hydra.sweeper.storage=sqlite:////nowhere/x.db"],
        "unable to open",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(name, app):
    line, told = MISTAKES[name]
    done = app(*line)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(app.folder.glob("multirun/*"))


# kd-lab itself


QUICK = ["tracking=none", *ALONE, *STUDENT, "trainer.max_epochs=3", "trainer.batch_size=4"]


def test_kd_lab_searches_prunes_and_records_it_in_each_cell(toy_csv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    axes = ["optimizer.head_lr=0.02,0.0", "model.embedding=range(8,13,4)"]
    line = ["-m", "hydra/sweeper=optuna", "hydra.sweeper.sampler=grid", "hydra.sweeper.pruner=halving", "name=search"]
    assert command([*line, "dataset=csv", f"dataset.path={toy_csv.name}", *QUICK, *axes]) == 0
    study = tmp_path / "multirun" / "search"
    found = json.loads((study / "optuna.json").read_text())
    assert len(found["trials"]) == 4
    assert found["trials"][found["best"]]["params"]["optimizer.head_lr"] == "0.02"
    for trial in found["trials"]:
        cell = results.read(study / trial["cell"])
        assert cell.status == trial["state"]
        assert "search" not in trial["cell"]
        if cell.status == "finished":
            assert trial["values"] == [cell.metrics["validation"]["accuracy"]]
    assert states(found)[2:] == ["pruned", "pruned"], "nothing is learnt at a rate of 0"

    shutil.rmtree(study / "report")  # as if it had been killed when all trials were told
    assert command([*line, "dataset=csv", f"dataset.path={toy_csv.name}", *QUICK, *axes]) == 0
    assert (study / "report" / "cells.csv").is_file()
    assert len(json.loads((study / "optuna.json").read_text())["trials"]) == 4

    capsys.readouterr()
    text = toy_csv.read_text()
    (tmp_path / toy_csv.name).write_text(text.replace("a", "e"))
    assert command([*line, "dataset=csv", f"dataset.path={toy_csv.name}", *QUICK, *axes]) == 2
    assert "expected the data of its trials" in capsys.readouterr().err
    assert len(results.collect(study)) == 4


@pytest.mark.parametrize(
    ("axis", "told"),
    [
        (["model.hidden=8,7.5"], "model.hidden: expected a whole number"),
        (["model.hidden=8,16", "model.dropuot=0.1"], "model.dropuot: expected"),
        (["dataset.split.seed=0,1"], "dataset.split.seed: expected one value, for a search over seeds"),
        (["method=baseline,distilled", "loss.temperature=2,4"], "an option that loss=cross_entropy has"),
        (["model.hidden=4,8", "hydra.sweeper.objectives=[{metrics.test.accuracy:maximize}]"], "test rows"),
        (["model.hidden=8,16", "hydra.sweep.subdir=../elsewhere"], "expected a path without '..'"),
    ],
)
def test_a_search_that_could_not_run_is_refused_before_its_first_trial(
    axis, told, toy_csv, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    line = ["-m", "hydra/sweeper=optuna", "dataset=csv", f"dataset.path={toy_csv}", "model=lstm_attention", *axis]
    assert command(line) == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
    assert not Path("multirun").exists()


def test_the_yamls_defaults_are_the_signatures():
    import inspect

    from omegaconf import OmegaConf

    from hydra_plugins.kd_lab.optuna_sweeper import OptunaSweeper

    given = OmegaConf.to_container(OmegaConf.load(root() / "conf" / "hydra" / "sweeper" / "optuna.yaml"))
    signature = inspect.signature(OptunaSweeper).parameters
    assert set(given) - {"_target_"} == set(signature)
    for name in set(signature) - {"study", "params", "objectives"}:
        assert given[name] == signature[name].default, name
    assert given["objectives"] == list(signature["objectives"].default)
    assert compose(["hydra/sweeper=optuna"]).search is None


def test_the_study_stays_open_to_optunas_own_tools(app):
    assert app("hydra.sweeper.trials=3", "x=interval(0,1)").returncode == 0
    study = optuna.load_study(study_name="toy", storage=f"sqlite:///{app.folder}/multirun/toy/optuna.db")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3
