"""A search looks at validation or at costs, never at the test rows."""

import math

import pytest

from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.sweeps.search.objective import objectives

RESULT = RunResult(
    name="study",
    cell="cell",
    status="finished",
    config={},
    metrics={"validation": {"accuracy": 0.5, "mcc": None}, "test": {"accuracy": 0.75}},
    cost={"latency_ms": {"p50": 2.0}, "contended": True},
)


@pytest.mark.parametrize(
    ("path", "value", "monitor"), [("metrics.validation.accuracy", 0.5, "accuracy"), ("cost.latency_ms.p50", 2.0, None)]
)
def test_a_figure_is_read_from_the_result_and_only_validation_can_be_watched(path, value, monitor):
    [objective] = objectives([{path: "minimize"}])
    assert (objective.of(RESULT), objective.monitor, objective.direction) == (value, monitor, "minimize")


def test_a_figure_that_could_not_be_measured_is_nan():
    [objective] = objectives([{"metrics.validation.mcc": "maximize"}])
    assert math.isnan(objective.of(RESULT))


@pytest.mark.parametrize(
    "path", ["metrics.validation.acc", "cost.latency_ms", "cost.contended", "cost.latency_ms.p50.x"]
)
def test_a_path_that_leads_to_no_number_names_those_that_do(path):
    [objective] = objectives([{path: "maximize"}])
    with pytest.raises(UserError, match=r"\(cost\.latency_ms\.p50, metrics\.validation\.accuracy\)"):
        objective.of(RESULT)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([{"metrics.test.accuracy": "maximize"}], "test rows"),
        ([{"fidelity.kl": "minimize"}], "test rows"),
        ([{"teacher.metrics.test.accuracy": "minimize"}], "test rows"),
        ([{"config.seed": "minimize"}], "begins with"),
        ([{"metrics.validation.accuracy": "up"}], "maximize or minimize"),
        ([{"cost.size_mib": "minimize", "cost.parameters": "minimize"}], "entries"),
        ("metrics.validation.accuracy", "a list"),
        ([], "a list"),
    ],
)
def test_another_objective_is_refused(given, told):
    with pytest.raises(UserError, match=told):
        objectives(given)
