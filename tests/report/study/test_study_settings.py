from __future__ import annotations

import pytest
from handmade_cells import cell, lost

from kd_lab.core.results import RunResult
from kd_lab.report.study.runs import run
from kd_lab.report.study.settings import axes, settings, short_value


def labels(cells: list[RunResult]) -> list[str]:
    return [setting.label for setting in settings(cells)]


def test_cells_that_differ_in_their_seed_alone_are_one_setting_named_for_its_study() -> None:
    cells = [cell(["loss.alpha=0.5", f"seed={seed}", "name=study", f"paths.cache=/{seed}"]) for seed in (2, 0, 1)]
    (setting,) = settings(cells)
    assert axes(cells) == []
    assert (setting.values, setting.label) == ({}, "study")
    assert [dict(run(one))["seed"] for one in setting.cells] == [0, 1, 2]


def test_an_axis_is_an_option_that_differs_and_numbers_come_by_size() -> None:
    cells = [cell([f"loss.temperature={t}", f"loss.alpha={a}", "model=m"]) for t in (16, 2) for a in ("0.5", "0.1")]
    assert axes(cells) == ["loss.temperature", "loss.alpha"]
    assert labels(cells) == [f"temperature={t} alpha={a}" for t in (2, 16) for a in (0.1, 0.5)]


def test_axes_that_end_alike_keep_their_whole_names() -> None:
    cells = [cell([f"optimizer.lr={n}", f"teacher.optimizer.lr={n}"]) for n in (1, 2)]
    assert labels(cells)[0] == "optimizer.lr=1 teacher.optimizer.lr=1"


def test_an_option_left_alone_has_the_value_of_the_config() -> None:
    whole = {"seed": 0, "loss": {"temperature": 2.0}, "model": {"name": "mini"}, "teacher": None}
    default = cell([], config=whole)
    told = cell(["loss.temperature=2", "model=mini", "teacher=none", "seed=1"], config={**whole, "seed": 1})
    assert axes([default, told]) == []
    assert labels([default, told, cell(["loss.temperature=4"], config=whole)]) == ["temperature=2", "temperature=4"]


def test_an_option_that_does_not_apply_has_no_value() -> None:
    cells = [cell(["loss=gold"]), cell(["loss=hybrid", "loss.alpha=0.5"])]
    assert [dict(setting.values) for setting in settings(cells)] == [
        {"loss": "gold", "loss.alpha": "-"},
        {"loss": "hybrid", "loss.alpha": "0.5"},
    ]
    assert labels(cells) == ["loss=gold", "loss=hybrid alpha=0.5"]


def test_a_cell_that_kept_no_overrides_is_told_by_its_folder() -> None:
    cells = [cell([], cell=f"compression=[prune_l1,onnx_int8],model={name},seed=0") for name in ("a", "b")]
    assert labels(cells) == ["model=a", "model=b"]


def test_failed_and_pruned_cells_stand_beside_the_finished() -> None:
    cells = [cell(["a=1", "seed=0"]), lost(["a=1", "seed=1"]), lost(["a=2", "seed=0"], status="pruned")]
    one, two = settings(cells)
    assert (len(one.cells), len(one.failed), len(two.cells), len(two.failed)) == (1, 1, 0, 1)


def test_a_seed_that_ran_as_the_default_and_by_name_counts_once() -> None:
    (setting,) = settings([cell([], test=0.7), cell(["seed=0"], test=0.7), cell(["seed=1"], test=0.9)])
    assert setting.over_seeds("metrics.test.accuracy") == [0.7, 0.9]


def test_a_cell_without_a_number_is_left_out_of_it() -> None:
    (setting,) = settings([cell(["seed=0"]), cell(["seed=1"], cost={"size_mib": None})])
    assert setting.over_seeds("cost.size_mib") == [10.5]
    assert setting.over_seeds("cost.latency_ms.p50") == [2.25]
    assert setting.over_seeds("fidelity.agreement") == []


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("0.12345678", "0.1235"),
        ("0.5", "0.5"),
        ("2.0", "2"),
        ("12345678", "12345678"),
        ("[a,b]", "[a,b]"),
        ("1e-5", "1e-5"),
    ],
)
def test_only_long_fractions_are_shortened(text: str, short: str) -> None:
    assert short_value(text) == short
