from __future__ import annotations

from dataclasses import replace

import pytest
from pictures import cell, lost, setting, study

from kd_lab.report.figures import parallel


def test_axes_are_options_then_numbers() -> None:
    names = [column.name for column in parallel.columns(parallel.drawable(study()))]
    assert names == [
        "model",
        "temperature",
        "alpha",
        "test accuracy",
        "validation accuracy",
        "agreement with teacher",
        "size",
        "latency p50",
    ]


def test_numbers_nobody_has_get_no_axis() -> None:
    bare = [setting({"t": t}, replace(cell(0.8), fidelity={}, cost={}, teacher={})) for t in (1, 2)]
    assert [column.name for column in parallel.columns(bare)] == ["t", "test accuracy", "validation accuracy"]


def test_heights_are_shares_of_the_way_from_the_lowest_to_the_highest() -> None:
    lines = [setting({"t": t}, cell(score, mib=mib)) for t, score, mib in ((1, 0.8, 1), (2, 0.85, 10), (3, 0.9, 100))]
    found = {column.name: column for column in parallel.columns(lines)}
    assert found["test accuracy"].heights == pytest.approx((0, 0.5, 1))
    assert found["size"].heights == pytest.approx((0, 0.5, 1))
    assert found["size"].unit == "MiB (log)"
    assert [text for _, text in found["size"].ticks] == ["1", "10", "100"]
    assert found["t"].heights == pytest.approx((1 / 6, 3 / 6, 5 / 6))


def test_lines_through_one_value_are_told_apart_and_stay_near_it() -> None:
    lines = parallel.drawable(study())
    model = parallel.columns(lines)[0]
    near = {text: height for height, text in model.ticks}
    assert len(set(model.heights)) == len(lines)
    for line, height in zip(lines, model.heights, strict=True):
        assert abs(height - near[line.values["model"]]) < 1 / 6


def test_options_that_a_search_drew_get_a_scale() -> None:
    lines = [setting({"rate": 10.0**-power}, cell(0.8)) for power in range(1, 14)]
    rate = parallel.columns(lines)[0]
    assert rate.heights == pytest.approx([1 - place / 12 for place in range(13)])
    assert rate.unit == "(log)"


def test_a_line_without_a_number_goes_below_the_axis() -> None:
    lines = [setting({"t": 1}, cell(0.8)), setting({"t": 2}, replace(cell(0.9), fidelity={}))]
    agreement = next(column for column in parallel.columns(lines) if column.name.startswith("agreement"))
    assert agreement.heights == (0.5, None)


def test_settings_without_a_result_are_left_out() -> None:
    one, two, none = setting({"t": 1}, cell(0.9)), setting({"t": 2}, cell(0.8)), setting({"t": 3}, failed=(lost(),))
    assert parallel.drawable([one, none, two]) == [two, one]
