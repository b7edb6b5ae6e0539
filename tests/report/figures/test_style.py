"""Every figure of a study: the same numbers give the same bytes, and none gives no file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import cell, gain_of, lost, must_be_pictures, setting, study

from kd_lab.evaluation.per_class import per_class
from kd_lab.report.figures import class_f1, gain, heatmap, parallel, pareto
from kd_lab.report.study.class_report import ClassReport, _ranked

Draw = Callable[[Any, Path], list[Path]]
LONG = "_with_a_name_that_no_figure_has_room_for" * 3
FAILED = [setting({"t": 3}, failed=(lost(),))]


def classes(number: int) -> ClassReport:
    draw = np.random.default_rng(0)
    labels = np.arange(20 * number) % number
    said = np.where(draw.random(len(labels)) < labels / number, labels, draw.integers(0, number, len(labels)))
    names = [f"class $ {one} 动物" for one in range(number)]
    return ClassReport("toy", "a=1", "mini", "the best", names, {"test": _ranked(per_class(labels, said))})


@pytest.mark.parametrize(
    ("draw", "shown"),
    [
        *((module.draw, study(long)) for module in (heatmap, parallel, pareto) for long in ("", LONG)),
        (pareto.draw, [setting({}, cell(0.8))]),
        *((class_f1.draw, classes(number)) for number in (2, 75)),
        (gain.draw, [gain_of("lstm_attention", 0.25, 0.62), gain_of("distilbert_mini" * 3, 0.55, 0.61)]),
    ],
)
def test_the_pictures_are_whole_and_the_same_twice(draw: Draw, shown: Any, tmp_path: Path) -> None:
    must_be_pictures(draw(shown, tmp_path / "a.b"), draw(shown, tmp_path / "again"))
    assert (tmp_path / "a.b.svg").is_file()


@pytest.mark.parametrize(
    ("draw", "nothing"),
    [
        *((draw, nothing) for draw in (parallel.draw, pareto.draw) for nothing in ([], FAILED)),
        (parallel.draw, [setting({"t": 1}, cell(0.8)), *FAILED]),
        (class_f1.draw, None),
        (gain.draw, []),
    ],
)
def test_nothing_to_show_gives_no_picture(draw: Draw, nothing: Any, tmp_path: Path) -> None:
    assert draw(nothing, tmp_path / "none") == []
