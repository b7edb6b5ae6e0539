"""Where classes are uneven and accuracy steers the fit, the options are named as they are typed."""

from __future__ import annotations

import numpy as np
import pytest

from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.training.settings import Trainer
from kd_lab.training.uneven_classes import uneven_classes_hint

CLASSES = ("often", "never", "rare")
UNEVEN = np.array([0] * 31 + [2] * 10 + [-1] * 100)
GOLD = WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0})


def said(labels: np.ndarray = UNEVEN, loss: Loss = GOLD, **trainer: object) -> str | None:
    return uneven_classes_hint(labels, CLASSES, Trainer(**trainer), loss)  # type: ignore[arg-type]


def test_the_largest_and_the_smallest_class_and_the_options_are_named() -> None:
    assert said() == (
        "classes are uneven, 'often' 31 rows of train, 'rare' 10: where all matter alike, trainer.monitor=f1_macro, "
        "loss.terms.cross_entropy.class_weights=balanced and trainer.sampling=balanced are there"
    )
    assert " loss.class_weights=balanced and" in (said(loss=Hybrid(0.5, 2.0, 0.1)) or "")


def test_only_what_is_not_chosen_and_would_do_something_is_named() -> None:
    weighed = Hybrid(0.5, 2.0, 0.1, class_weights="balanced")
    assert (said(loss=weighed) or "").endswith("alike, trainer.monitor=f1_macro is there")
    assert (said(sampling="balanced") or "").endswith("alike, trainer.monitor=f1_macro is there")
    no_labels = WeightedSum({"logit_mse": LogitMse()}, {"logit_mse": 1.0})
    assert (said(loss=no_labels) or "").endswith("trainer.monitor=f1_macro and trainer.sampling=balanced are there")
    assert "class_weights" not in (said(loss=Hybrid(0.0, 2.0, 0.1)) or "")


@pytest.mark.parametrize("monitor", ["f1_macro", "f1_weighted", "balanced_accuracy", "mcc"])
def test_nothing_is_said_where_another_figure_steers_or_nothing_is_fitted(monitor: str) -> None:
    assert said(monitor=monitor) is None
    assert said(max_epochs=0) is None


def test_three_times_as_many_rows_are_not_uneven_yet() -> None:
    assert said(UNEVEN[1:]) is None
