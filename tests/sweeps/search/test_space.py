"""The search space says what the line says."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from kd_lab.core.errors import UserError
from kd_lab.sweeps.search.space import read, text


def space(*lines):
    return read(OverridesParser.create().parse_overrides(list(lines)))


FLOAT, INT = {"log": False, "step": None}, {"log": False, "step": 1}


@pytest.mark.parametrize(
    ("line", "kind", "attributes"),
    [
        ("x=interval(1,10)", "FloatDistribution", {**FLOAT, "low": 1, "high": 10}),
        ("x=tag(log,interval(1e-5,1e-3))", "FloatDistribution", {"log": True, "step": None, "low": 1e-5, "high": 1e-3}),
        ("x=tag(int,interval(1,8))", "IntDistribution", {**INT, "low": 1, "high": 8}),
        ("x=int(interval(1,8))", "IntDistribution", {**INT, "low": 1, "high": 8}),
        ("x=tag(int,log,interval(1,64))", "IntDistribution", {"log": True, "step": 1, "low": 1, "high": 64}),
        ("x=range(1,9)", "IntDistribution", {**INT, "low": 1, "high": 8}),
        ("x=range(8,0,-2)", "IntDistribution", {"log": False, "step": 2, "low": 2, "high": 8}),
        ("x=range(0,1,0.25)", "FloatDistribution", {"log": False, "step": 0.25, "low": 0, "high": 0.75}),
        ("x=a,b,a", "CategoricalDistribution", {"choices": ("a", "b")}),
        ("x=[],[prune_l1,onnx_int8]", "CategoricalDistribution", {"choices": ("[]", "[prune_l1,onnx_int8]")}),
    ],
)
def test_an_axis_is_what_hydras_grammar_says(line, kind, attributes):
    axis = space(line).axes["x"]
    assert type(axis).__name__ == kind
    assert {name: getattr(axis, name) for name in attributes} == attributes


def test_a_job_has_every_override_in_the_order_of_the_line():
    found = space("model@teacher.model=minilm", "x=interval(0,1)", "+y='a b'", "kind=a,b", "x=interval(1,2)")
    assert found.job({"x": 1.5, "kind": "b"}) == ["model@teacher.model=minilm", "x=1.5", "+y='a b'", "kind=b"]


def test_examples_show_each_choice_and_each_end():
    examples = space("x=interval(0,1)", "kind=a,b,c").examples()
    assert {line for job in examples for line in job} == {"x=0.0", "x=1.0", "kind=a", "kind=b", "kind=c"}


def test_a_grid_has_each_combination_once():
    grid = space("x=range(0,1,0.5)", "kind=a,b").grid()
    assert sorted((values["x"], values["kind"]) for values in grid) == [(0, "a"), (0, "b"), (0.5, "a"), (0.5, "b")]


def test_a_stepped_number_is_written_without_the_dust_of_binary_fractions():
    axis = space("x=range(0,1,0.1)").axes["x"]
    assert text(axis, 0.1 * 3) == "0.3"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["x=1"], "an axis to search"),
        (["seed=1,2"], "seed: expected one value, for a search over seeds finds the luckiest"),
        (["x=1,2", "dataset.split.seed=0,1"], "dataset.split.seed: expected one value.*luckiest"),
        (["teacher.seed=0,1"], "teacher.seed: expected one value"),
        (["x=1,2", "dataset=clinc,bbc"], "dataset: expected one value, for a search over data sets finds the easiest"),
        (["dataset.path=a.csv,b.csv"], "dataset.path: expected one value.*easiest"),
        (["x=interval(1,0)"], "x=interval(1,0)"),
        (["x=range(0,0)"], "x=range(0,0)"),
        (["x=tag(log,interval(0,1))"], "low > 0"),
    ],
)
def test_a_line_that_spans_nothing_is_one_clear_line(lines, told):
    with pytest.raises(UserError, match=r"(?s)" + told.replace("(", r"\(").replace(")", r"\)")) as caught:
        space(*lines)
    assert "\n" not in str(caught.value)
