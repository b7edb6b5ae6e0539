"""TinyBERT's two terms: loops over layers and real tokens, and the projection that belongs to the term."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_field import MASK, batch, said

from kd_lab.core.cache import describe
from kd_lab.core.errors import UserError
from kd_lab.core.types import ModelShape, Outputs
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.tinybert_attention import TinyBertAttention
from kd_lab.losses.term.tinybert_hidden import TinyBertHidden
from kd_lab.losses.weighted_sum import WeightedSum

MATCHED = {"every": [3, 6], "last": [5, 6]}  # of 6 layers, for 2
both_ways = pytest.mark.parametrize("which", MATCHED)


@both_ways
def test_hidden_agrees_with_a_loop_over_embeddings_layers_and_real_tokens(which: str) -> None:
    student, teacher = said(0), said(1, layers=6, width=9)
    term = TinyBertHidden(which)
    term.build(student, batch(teacher))
    weight, bias = (part.detach().double().numpy() for part in (term.projection.weight, term.projection.bias))
    ours, theirs = student.all_hidden.numpy(), teacher.all_hidden.numpy()
    each = [
        (weight @ ours[row, layer, token] + bias - theirs[row, match, token]) ** 2
        for layer, match in enumerate([0, *MATCHED[which]])
        for row, token in zip(*np.nonzero(MASK.numpy()), strict=True)
    ]
    assert term(student, batch(teacher)).item() == pytest.approx(np.mean(each))


@both_ways
def test_attention_agrees_with_a_loop_over_layers_and_pairs_of_real_tokens(which: str) -> None:
    student, teacher = said(0), said(1, layers=6)
    ours, theirs = student.all_attention.numpy(), teacher.all_attention.numpy()
    each = [
        (ours[row, layer, :, i, j] - theirs[row, match - 1, :, i, j]) ** 2
        for layer, match in enumerate(MATCHED[which])
        for row, length in enumerate(MASK.sum(1))
        for i, j in np.ndindex(int(length), int(length))
    ]
    assert TinyBertAttention(which)(student, batch(teacher)).item() == pytest.approx(np.mean(each))


def test_the_projection_is_the_losss_and_starts_as_the_identity_where_it_can() -> None:
    loss = WeightedSum({"hidden": TinyBertHidden(), "kl": KL(2.0)}, {"hidden": 1.0, "kl": 1.0})
    assert not list(loss.parameters())
    assert loss.has_weights
    loss.build(said(0), batch(said(1, width=9)))
    assert {name: list(one.shape) for name, one in loss.named_parameters()} == {
        "terms.hidden.projection.weight": [9, 6],
        "terms.hidden.projection.bias": [9],
    }
    loss.build(said(0), batch(said(1)))
    weight, bias = loss.parameters()
    assert torch.equal(weight, torch.eye(6))
    assert not bias.any()
    assert describe(loss.terms["hidden"])["layers"] == "every"
    assert not WeightedSum({"hidden": TinyBertHidden(), "kl": KL(2.0)}, {"hidden": 0, "kl": 1.0}).has_weights


def test_a_step_on_the_projection_alone_comes_nearer() -> None:
    student, teacher = said(0), said(1, width=9)
    term = TinyBertHidden()
    term.build(student, batch(teacher))
    before = term(student, batch(teacher))
    before.backward()
    with torch.no_grad():
        for weight in term.parameters():
            weight.sub_(0.1 * weight.grad)
    assert term(student, batch(teacher)) < before


def test_what_was_not_built_says_so() -> None:
    with pytest.raises(
        UserError, match=r"expected a projection from the student's width 6 to the teacher's 6, got none"
    ):
        TinyBertHidden()(said(0), batch(said(1)))


def test_another_number_of_heads_is_refused() -> None:
    shape = ModelShape(frozenset(Outputs._fields), 48, layers=3, heads=4)
    TinyBertAttention().check_models("t", shape, shape._replace(width=96))
    TinyBertHidden().check_models("t", shape, shape._replace(width=96, heads=2))
    with pytest.raises(UserError, match=r"'t': expected a student with the teacher's 2 heads, got 4.*loss=minilm_v2"):
        TinyBertAttention().check_models("t", shape, shape._replace(heads=2))
    for term in (TinyBertAttention(), TinyBertHidden()):
        with pytest.raises(UserError, match="expected a student of 1 to 2 layers"):
            term.check_models("t", shape, shape._replace(layers=2))
