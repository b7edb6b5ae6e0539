"""Importance is what it says: the derivative of each row's loss by a gate on the part, summed over rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from readable import built, each_alone, some

from kd_lab.compression.importance import (
    labelled,
    most_important,
    share_kept,
    taylor_of_columns,
    taylor_of_inputs,
)
from kd_lab.compression.prune.lstm_units import readers
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.data.tokenized import TokenSplit

STEP = 1e-5  # of the finite differences, in float64


def loss(model, row: Batch) -> float:
    with torch.no_grad():
        logits = model.net(input_ids=row.input_ids, attention_mask=row.attention_mask).logits
        return float(F.cross_entropy(logits, row.labels, reduction="sum"))


@pytest.mark.parametrize("size", [1, 5])
def test_the_score_of_an_input_is_the_loss_s_slope_by_a_gate_on_it(context, size):
    """Worked out by finite differences of a gate, row by row; batches of any size say the same."""
    model, rows, units = built("distilbert").eval().double(), each_alone(some(context, 5)), 4
    merges = [layer.attention.out_lin for layer in model.net.distilbert.transformer.layer]
    model.forward = lambda batch: model.net(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    batches = rows if size == 1 else [some(context, 5)]
    scores = taylor_of_inputs(model, iter(batches), merges, units)
    for layer in (0, 3):
        for unit in range(units):
            expected = 0.0
            for row in rows:
                said = []
                for gate in (1 + STEP, 1 - STEP):
                    scale = torch.ones(units, 4, dtype=torch.float64)
                    scale[unit] = gate
                    hook = merges[layer].register_forward_pre_hook(
                        lambda _, given, scale=scale: (given[0] * scale.flatten(),)
                    )
                    said.append(loss(model, row))
                    hook.remove()
                expected += abs(said[0] - said[1]) / (2 * STEP)
            assert float(scores[layer, unit]) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_the_score_of_columns_is_the_loss_s_slope_by_a_gate_on_all_of_them(context):
    model, rows = built("lstm").eval(), each_alone(some(context, 3))
    groups = readers(2)
    scores = taylor_of_columns(model, iter(rows), groups)
    weights, step = dict(model.named_parameters()), 1e-2  # float32
    for group, score in zip(groups, scores, strict=True):
        assert score.shape == (10,)
        for unit in (0, 7):
            expected = 0.0
            for row in rows:
                said = []
                for gate in (1 + step, 1 - step):
                    kept = {name: weights[name].detach().clone() for name in group}
                    with torch.no_grad():
                        for name in group:
                            weights[name][:, unit] *= gate
                        said.append(float(F.cross_entropy(model(row).logits, row.labels)))
                        for name in group:
                            weights[name].copy_(kept[name])
                expected += abs(said[0] - said[1]) / (2 * step)
            assert float(score[unit]) == pytest.approx(expected, rel=0.05, abs=2e-4)


def test_a_part_without_effect_scores_nothing(context):
    model = built("bert").eval()
    shrink = [layer.output.dense for layer in model.net.bert.encoder.layer]
    with torch.no_grad():
        shrink[1].weight[:, 5] = 0.0
    scores = taylor_of_inputs(model, iter([some(context)]), shrink, 12)
    assert [tuple(place) for place in (scores == 0).nonzero().tolist()] == [(1, 5)]
    assert scores.dtype == torch.float64


def test_measuring_leaves_the_model_as_it_was(context):
    model = built("bert").eval()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    layers = [layer.output.dense for layer in model.net.bert.encoder.layer]
    taylor_of_inputs(model, iter([some(context)]), layers, 12)
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert not any(layer._forward_pre_hooks for layer in layers)


def test_hooks_go_even_where_measuring_fails(context):
    model = built("bert").eval()
    layers = [layer.output.dense for layer in model.net.bert.encoder.layer]

    def broken():
        yield some(context)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        taylor_of_inputs(model, broken(), layers, 12)
    assert not any(layer._forward_pre_hooks for layer in layers)


class Relabelled:
    """The toy data set in which only some rows of train have a label."""

    def __init__(self, context, known: int) -> None:
        self.context, self.pad_id = context, context.tokens.pad_id
        whole = context.tokens.split("train")
        labels = np.where(np.arange(len(whole)) < known, whole.labels, -1)
        self.train = TokenSplit(whole.token_ids, whole.offsets, labels, whole.token_type_ids)

    def split(self, name: str) -> TokenSplit:
        return self.train


@pytest.mark.parametrize(("known", "asked", "given"), [(30, 12, 12), (30, 50, 30), (1, 8, 1)])
def test_only_rows_with_a_label_are_asked_and_as_many_as_there_are(context, known, asked, given):
    context.tokens = Relabelled(context, known)
    batches = list(labelled(context, asked, 8, "compression.x"))
    labels = torch.cat([batch.labels for batch in batches])
    rows = torch.cat([batch.row_ids for batch in batches])
    assert len(labels) == given == len(set(rows.tolist()))
    assert bool((labels >= 0).all())
    assert all(len(batch.input_ids) == len(batch.labels) <= 8 for batch in batches)
    truth = torch.from_numpy(context.tokens.train.labels[rows.numpy()])
    assert torch.equal(labels, truth)


def test_a_data_set_without_labels_is_refused(context):
    context.tokens = Relabelled(context, 0)
    with pytest.raises(UserError, match=r"^compression\.x: expected labelled rows in train.*drop_layers"):
        list(labelled(context, 8, 8, "compression.x"))


def test_the_most_important_are_named_in_their_order_and_the_first_of_equals():
    scores = torch.tensor([1.0, 5.0, 3.0, 5.0, 3.0])
    assert most_important(scores, 3).tolist() == [1, 2, 3]
    assert most_important(scores, 5).tolist() == [0, 1, 2, 3, 4]


def test_the_share_of_importance_kept():
    scores = torch.tensor([1.0, 2.0, 5.0])
    assert share_kept(scores, torch.tensor([0, 2])) == 0.75
    assert share_kept(torch.zeros(3), torch.tensor([0])) == 1.0
