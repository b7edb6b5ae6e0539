"""Metrics and thresholds of rows that may bear several labels, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from kd_lab.core.errors import FitError, UserError
from kd_lab.evaluation import label_intervals, multi_label
from kd_lab.evaluation.fidelity import fidelity
from kd_lab.evaluation.label_scores import draw
from kd_lab.evaluation.metrics import evaluate
from kd_lab.evaluation.selective import LabelSets

RANDOM = np.random.default_rng(0)
LABELS = (RANDOM.random((400, 6)) < [0.5, 0.3, 0.2, 0.1, 0.01, 0.0]).astype(np.int64)
LOGITS = (2 * LABELS - 1) + RANDOM.normal(0, 1.5, LABELS.shape)


def test_metrics_are_those_of_scikit_learn() -> None:
    found, said = evaluate(torch.from_numpy(LOGITS), torch.from_numpy(LABELS)), LOGITS >= 0
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(LABELS, said))
    for average in ("micro", "macro", "weighted"):
        wanted = sklearn.f1_score(LABELS, said, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(wanted, rel=1e-5)
    borne = LABELS.any(axis=0)
    wanted = sklearn.average_precision_score(LABELS[:, borne], LOGITS[:, borne], average="macro")
    assert found["mean_average_precision"] == pytest.approx(wanted, rel=1e-5)
    odds = 1 / (1 + np.exp(-LOGITS))
    nll = sum(sklearn.log_loss(LABELS[:, label], odds[:, label], labels=[0, 1]) for label in range(6))
    assert found["nll"] == pytest.approx(nll)
    assert 0 < found["ece"] < 1


@pytest.mark.parametrize("borne", [0, 1])
def test_a_split_in_which_a_label_or_none_is_borne_is_judged_all_the_same(borne: int) -> None:
    labels = np.zeros_like(LABELS)
    labels[::3, :borne] = 1
    found = evaluate(torch.from_numpy(LOGITS), torch.from_numpy(labels))
    wanted = sklearn.average_precision_score(labels[:, 0], LOGITS[:, 0]) if borne else 0.0
    assert found["mean_average_precision"] == pytest.approx(wanted, rel=1e-5)
    assert isinstance(label_intervals.at_chance(LOGITS, labels), bool)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(UserError, match="1 of 2 without"):
        evaluate(torch.zeros(2, 3), torch.tensor([[1, 0, 1], [-1, -1, -1]]))
    with pytest.raises(FitError, match="not finite"):
        evaluate(torch.tensor([[0.0, float("nan")]]), torch.tensor([[0, 1]]))


def test_a_threshold_is_where_f1_is_highest() -> None:
    thresholds = multi_label.tune(LOGITS, LABELS)
    odds = 1 / (1 + np.exp(-LOGITS))
    for label in range(4):  # the others are borne by too few
        precision, recall, _ = sklearn.precision_recall_curve(LABELS[:, label], odds[:, label])
        every = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        own = sklearn.f1_score(LABELS[:, label], odds[:, label] >= thresholds[label])
        assert own == pytest.approx(every.max())
    assert thresholds[4] == thresholds[5]
    every = [sklearn.f1_score(LABELS, odds >= one, average="micro") for one in np.quantile(odds, np.linspace(0, 1, 50))]
    shared = sklearn.f1_score(LABELS, odds >= thresholds[4], average="micro")
    assert shared >= max(every) - 1e-9
    assert (multi_label.tune(LOGITS[:5], np.zeros((5, 6))) == 0.5).all()


def test_of_equal_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    odds = np.repeat([0.9, 0.1], 20)
    logits = np.log(odds / (1 - odds))[:, None]
    [threshold] = multi_label.tune(logits, odds[:, None] > 0.5)
    assert threshold == pytest.approx(0.5)


def test_a_set_has_the_same_number_wherever_it_is_met() -> None:
    numbers = multi_label.set_numbers(LABELS)
    assert numbers.shape == (400,)
    assert (numbers >= 0).all()
    for row in range(1, 400):
        assert (numbers[row] == numbers[0]) == (LABELS[row] == LABELS[0]).all()
    assert np.array_equal(multi_label.set_numbers(LABELS[7:]), numbers[7:])


def test_an_interval_holds_the_figure_and_narrows_with_rows() -> None:
    said = LOGITS >= 0
    found = label_intervals.f1_intervals(said, LABELS)
    for name, average in (("f1_micro_interval", "micro"), ("f1_macro_interval", "macro")):
        low, high = found[name]
        assert low < sklearn.f1_score(LABELS, said, average=average, zero_division=0) < high
    few = label_intervals.f1_intervals(said[:50], LABELS[:50])["f1_micro_interval"]
    low, high = found["f1_micro_interval"]
    assert few[1] - few[0] > 1.5 * (high - low)
    assert found == label_intervals.f1_intervals(said, LABELS), "the same draws each time"


def test_chance_is_told_from_knowledge() -> None:
    assert not label_intervals.at_chance(LOGITS, LABELS)
    assert label_intervals.at_chance(RANDOM.normal(size=LABELS.shape), LABELS)
    assert label_intervals.at_chance(np.zeros(LABELS.shape), LABELS), "nothing is told apart"


def test_fidelity_is_that_of_sets() -> None:
    logits = torch.from_numpy(LOGITS)
    assert fidelity(logits, logits, multi_label=True) == {"agreement": 1.0, "kl": 0.0}
    other = logits.clone()
    other[0, 0] *= -1
    found = fidelity(other, logits, multi_label=True)
    assert found["agreement"] == pytest.approx(399 / 400)
    assert found["kl"] > 0


def test_a_picture_has_a_bar_a_label(tmp_path) -> None:
    draw(
        LabelSets(LABELS > 0, LOGITS >= 0),
        ["a", "b", "c $", "d", "e", "a very long name of a label that is cut"],
        tmp_path / "labels.png",
    )
    assert (tmp_path / "labels.png").read_bytes().startswith(b"\x89PNG")
