"""MiniLM and MiniLMv2: text by text without padding, in numpy; widths and heads that differ."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from every_field import MASK, batch, said
from scipy.special import rel_entr, softmax

from kd_lab.core.errors import UserError
from kd_lab.core.types import ModelShape, Outputs
from kd_lab.losses.fitting_losses import RELATION_HEADS
from kd_lab.losses.term.minilm import MiniLm
from kd_lab.losses.term.minilm_v2 import MiniLmV2

LENGTHS = MASK.sum(1).tolist()


def relation(vectors: np.ndarray) -> np.ndarray:
    """(T, D) -> (T, T), rows that sum to 1."""
    return softmax(vectors @ vectors.T / np.sqrt(vectors.shape[1]), axis=-1)


def divergences(student: np.ndarray, teacher: np.ndarray) -> Iterator[float]:
    """Of each token, from relations of one text and head."""
    yield from rel_entr(teacher, student).sum(-1)


def test_minilm_agrees_with_a_loop_over_texts_and_heads() -> None:
    student, teacher = said(0), said(1, width=12)  # values of 2 and of 4 units
    attention, values = [], []
    for row, length in enumerate(LENGTHS):
        for head in range(3):
            scores = [one.attention[row, head, :length, :length].numpy() for one in (student, teacher)]
            attention += divergences(*(softmax(one, axis=-1) for one in scores))
            values += divergences(*(relation(one.values[row, head, :length].numpy()) for one in (student, teacher)))
    expected = np.mean(attention) + np.mean(values)
    assert MiniLm()(student, batch(teacher)).item() == pytest.approx(expected)


def test_minilm_v2_agrees_with_a_loop_over_texts_and_relation_heads() -> None:
    student, teacher = said(0), said(1, width=12, heads=2)  # 3 heads of 2 units, and 2 of 6
    total = 0.0
    for field in ("queries", "keys", "values"):
        each = []
        for row, length in enumerate(LENGTHS):
            whole = [
                np.concatenate(list(getattr(one, field)[row, :, :length].numpy()), -1) for one in (student, teacher)
            ]
            for head in range(2):
                parts = (np.split(vectors, 2, axis=-1)[head] for vectors in whole)
                each += divergences(*(relation(part) for part in parts))
        total += np.mean(each)
    assert MiniLmV2(relation_heads=2)(student, batch(teacher)).item() == pytest.approx(total)


def test_as_many_relation_heads_as_heads_are_the_models_own() -> None:
    student, teacher = said(0), said(1)
    alike = student._replace(queries=teacher.queries, keys=teacher.keys)  # the values' part is left
    own = student._replace(attention=teacher.attention)
    assert MiniLmV2(relation_heads=3)(alike, batch(teacher)).item() == pytest.approx(
        MiniLm()(own, batch(teacher)).item()
    )


def test_no_overflow_where_a_student_is_sure() -> None:
    student, teacher = said(0, torch.float32), said(1, torch.float32)
    sure = student._replace(attention=(student.attention * 1e4).requires_grad_())
    value = MiniLm()(sure, batch(teacher))
    (grad,) = torch.autograd.grad(value, sure.attention)
    assert value.isfinite()
    assert grad.isfinite().all()


def test_other_heads_are_refused_by_the_first_and_taken_by_the_second() -> None:
    shape = ModelShape(frozenset(Outputs._fields), 384, layers=3, heads=12)
    MiniLm().check_models("m", shape, shape._replace(width=768, layers=2))
    with pytest.raises(
        UserError, match=r"'m': expected a student with the teacher's 6 heads, got 12\. Choose loss=minilm_v2 or"
    ):
        MiniLm().check_models("m", shape, shape._replace(heads=6))
    MiniLmV2().check_models("m", shape, shape._replace(heads=6, width=768))


def test_relation_heads_that_do_not_divide_a_width_are_refused_with_the_most_that_do() -> None:
    shape = ModelShape(frozenset(Outputs._fields), 312, layers=3, heads=12)
    with pytest.raises(
        UserError, match=r"width 312 and the teacher's 768, got 48\. Choose loss\.terms\.m\.relation_heads=24\."
    ):
        MiniLmV2().check_models("m", shape, shape._replace(width=768))
    MiniLmV2(24).check_models("m", shape, shape._replace(width=768))
    with pytest.raises(UserError, match="relation_heads=6"):
        MiniLmV2()(said(0), batch(said(1)))


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_no_number_of_relation_heads_is_refused(number: object) -> None:
    with pytest.raises(UserError, match=r"loss\.terms\.minilm_v2\.relation_heads: expected a whole number above 0"):
        MiniLmV2(number)


def test_the_default_number_of_relation_heads_is_that_by_which_cures_go() -> None:
    assert MiniLmV2().relation_heads == RELATION_HEADS
