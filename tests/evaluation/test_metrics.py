from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, matthews_corrcoef
from torch import tensor

from kd_lab.core.errors import FitError, UserError
from kd_lab.evaluation.counting import BINS
from kd_lab.evaluation.fidelity import fidelity
from kd_lab.evaluation.metrics import evaluate


def split(seed: int, rows: int, classes: int, scale: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, classes, generator=draw), torch.randint(classes, (rows,), generator=draw)


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (7, 2), (300, 2), (40, 151), (5500, 151)])
def test_metrics_equal_those_of_scikit_learn(rows: int, classes: int) -> None:
    logits, labels = split(rows, rows, classes)
    gold, said = labels.numpy(), logits.argmax(1).numpy()
    ours = evaluate(logits, labels)
    theirs = {
        "accuracy": accuracy_score(gold, said),
        "f1_macro": f1_score(gold, said, average="macro"),
        "f1_weighted": f1_score(gold, said, average="weighted"),
        "mcc": matthews_corrcoef(gold, said),
        "nll": log_loss(gold, logits.double().softmax(1).numpy(), labels=range(classes)),
    }
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, abs=2e-6)


@given(
    st.integers(2, 4).flatmap(
        lambda classes: st.tuples(
            st.just(classes), st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=12)
        )
    )
)
@settings(max_examples=150, deadline=None)
def test_f1_and_mcc_equal_scikit_learn_where_classes_are_missing(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, pairs = case
    gold, said = np.array(pairs).T
    ours = evaluate(torch.eye(classes)[said], torch.from_numpy(gold))
    assert ours["mcc"] == pytest.approx(matthews_corrcoef(gold, said), abs=1e-6)
    for average in ("macro", "weighted"):
        theirs = f1_score(gold, said, average=average, zero_division=0)
        assert ours[f"f1_{average}"] == pytest.approx(theirs, abs=1e-6)


def test_a_model_that_always_answers_one_class_has_no_correlation() -> None:
    logits = tensor([[0.0, 1.0]] * 10)  # torchmetrics alone says 0.47 here
    assert evaluate(logits, tensor([0] * 2 + [1] * 8))["mcc"] == 0.0


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    logits = tensor([[0.8, 0.2], [0.8, 0.2]]).log()
    assert evaluate(logits, tensor([0, 1]))["ece"] == pytest.approx(0.8 - 0.5)


def test_full_confidence_falls_into_the_last_bin() -> None:
    nearly = 1 - 0.5 / BINS  # the last bin's middle
    logits = tensor([[nearly, 1 - nearly], [1.0, 0.0]]).log().clamp(min=-1e4)
    assert evaluate(logits, tensor([0, 1]))["ece"] == pytest.approx((nearly + 1) / 2 - 0.5)


def test_calibration_equals_a_plain_sum_over_bins() -> None:
    logits, labels = split(3, 500, 5, scale=1.0)
    confidence, said = logits.double().softmax(1).max(1)
    gaps, right = 0.0, (said == labels).double()
    for place in range(BINS):
        inside = (confidence * BINS).floor().clamp(max=BINS - 1) == place
        gaps += abs(float((right - confidence)[inside].sum())) / 500
    assert evaluate(logits, labels)["ece"] == pytest.approx(gaps, abs=1e-6)


def test_logits_between_0_and_1_are_not_taken_for_probabilities() -> None:
    logits, labels = split(4, 50, 3)
    inside = logits.sigmoid()
    assert evaluate(inside, labels)["ece"] == pytest.approx(evaluate(inside + 5, labels)["ece"], abs=1e-6)


def test_half_precision_logits_are_judged_like_their_float_copies() -> None:
    logits, labels = split(5, 50, 3)
    assert evaluate(logits.bfloat16(), labels) == evaluate(logits.bfloat16().float(), labels)


def test_rows_without_a_label_are_refused() -> None:
    with pytest.raises(UserError, match="1 of 2 without"):
        evaluate(torch.zeros(2, 3), tensor([0, -1]))


def test_an_empty_split_is_refused() -> None:
    with pytest.raises(UserError, match="at least one"):
        evaluate(torch.zeros(0, 3), tensor([], dtype=torch.int64))


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_logits_that_are_not_numbers_fail_the_cell(broken: float) -> None:
    logits = tensor([[0.0, broken], [0.0, 1.0]])
    with pytest.raises(FitError, match="1 of 2 rows"):
        evaluate(logits, tensor([0, 1]))
    with pytest.raises(FitError, match="1 of 2 rows"):
        fidelity(torch.zeros(2, 2), logits)


def test_a_student_equal_to_its_teacher_is_perfectly_true_to_it() -> None:
    logits, _ = split(6, 20, 4)
    assert fidelity(logits + 7, logits) == pytest.approx({"agreement": 1.0, "kl": 0.0}, abs=1e-9)


def test_kl_is_that_of_the_student_from_the_teacher_in_nats() -> None:
    teacher, student = tensor([[0.9, 0.1], [0.5, 0.5]]), tensor([[0.6, 0.4], [0.2, 0.8]])
    by_hand = (0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4) + 0.5 * math.log(2.5) + 0.5 * math.log(0.625)) / 2
    found = fidelity(student.log(), teacher.log())
    assert found["kl"] == pytest.approx(by_hand, abs=1e-6)
    assert found["agreement"] == 0.5  # the teacher's tie goes to class 0, the student's answer is class 1


def test_student_and_teacher_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\].*\[2, 4\]"):
        fidelity(torch.zeros(2, 3), torch.zeros(2, 4))


def test_metrics_are_the_same_in_torchs_deterministic_mode_and_leave_it_on():
    """A fit leaves it on; torchmetrics then counts three hundred times slower, and once took a fifth of a sweep."""
    logits, labels = torch.randn(500, 30, generator=torch.Generator().manual_seed(0)), torch.arange(500) % 30
    plain = evaluate(logits, labels)
    torch.use_deterministic_algorithms(True)
    try:
        assert evaluate(logits, labels) == plain
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
