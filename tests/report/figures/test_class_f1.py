"""F1 class by class as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pictures import must_be_pictures

from kd_lab.evaluation.per_class import per_class
from kd_lab.report.figures import class_f1
from kd_lab.report.study.class_report import ClassReport, _ranked


def known(classes: int) -> ClassReport:
    draw = np.random.default_rng(0)
    labels = np.arange(20 * classes) % classes
    said = np.where(draw.random(len(labels)) < labels / classes, labels, draw.integers(0, classes, len(labels)))
    names = [f"class $ {number} 动物" for number in range(classes)]
    return ClassReport("toy", "a=1", "mini", "the best", names, {"test": _ranked(per_class(labels, said))})


@pytest.mark.parametrize("classes", [2, 75])
def test_the_same_classes_give_the_same_pictures(tmp_path: Path, classes: int) -> None:
    found = known(classes)
    must_be_pictures(class_f1.draw(found, tmp_path / "one"), class_f1.draw(found, tmp_path / "two"))


def test_no_report_gives_no_picture(tmp_path: Path) -> None:
    assert class_f1.draw(None, tmp_path / "classes") == []
