"""A trial reports from any process to one file, and is told when it is hopeless."""

import subprocess
import sys

import optuna
import pytest

from kd_lab.core.errors import UserError
from kd_lab.sweeps.search.storage import open_storage, optuna_library
from kd_lab.sweeps.search.trial import PRUNER, Pruned, Trial

GOOD, BAD = [0.5, 0.6, 0.7], [0.1, 0.1, 0.1]


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'a study.db'}"


@pytest.fixture
def study(url):
    """Five trials that went well, and the rule that compares others with them."""
    study = optuna.create_study(study_name="s", storage=open_storage(url, new=True), direction="maximize")
    study.set_user_attr(PRUNER, "median")
    for _ in range(5):
        number = study.ask().number
        for epoch, value in enumerate(GOOD, start=1):
            Trial(url, "s", number, "accuracy").report(epoch, value)
        study.tell(number, GOOD[-1])
    return study


def fit(trial, values):
    for epoch, value in enumerate(values):
        trial.observe(epoch, {"validation/accuracy": value, "train/loss": 1.0})


def test_a_hopeless_trial_is_pruned_and_a_good_one_goes_on(study, url):
    fit(Trial(url, "s", study.ask().number, "accuracy"), GOOD)
    with pytest.raises(Pruned, match=r"after epoch 1: accuracy 0\.1000"):
        fit(Trial(url, "s", study.ask().number, "accuracy"), BAD)


def test_a_figure_that_the_epoch_lacks_prunes_nothing(study, url):
    trial = study.ask()
    fit(Trial(url, "s", trial.number, "ece"), BAD)
    assert study.trials[trial.number].intermediate_values == {}


def test_a_fit_whose_search_was_started_anew_goes_on(study, url):
    number = study.ask().number
    study.tell(number, state=optuna.trial.TrialState.FAIL)
    fit(Trial(url, "s", number, "accuracy"), BAD)


def test_several_processes_report_at_the_same_time_and_nothing_is_lost(study, url):
    code = """
import sys
from kd_lab.sweeps.search.trial import Trial
trial = Trial(sys.argv[1], "s", int(sys.argv[2]), "accuracy")
for epoch in range(1, 31):
    trial.report(epoch, 1.0)
"""
    numbers = [study.ask().number for _ in range(3)]
    running = [subprocess.Popen([sys.executable, "-c", code, url, str(number)]) for number in numbers]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert [len(study.trials[number].intermediate_values) for number in numbers] == [30, 30, 30]


def test_without_optuna_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'kd_lab\[optuna\]'"):
        optuna_library()


def test_the_search_modules_load_neither_optuna_nor_torch():
    """The plug-in is imported at each start of kd-lab, for help and reports too."""
    code = "import sys, hydra_plugins.kd_lab.optuna_sweeper; print({'optuna', 'torch', 'numpy'} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"
