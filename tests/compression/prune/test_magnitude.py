"""Magnitude pruning takes the smallest weights of matrices, and nothing else."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from kd_lab.compression.prune.magnitude import PruneL1, matrices


def values(model: nn.Module) -> list[torch.Tensor]:
    return [getattr(module, name).detach() for module, name in matrices(model)]


@pytest.mark.parametrize("name", ["bert", "distilbert", "lstm"])
@pytest.mark.parametrize("amount", [0, 0.3, 0.9])
def test_global_pruning_zeroes_exactly_the_smallest_share_of_all_matrices(build, name, amount):
    model = build(name)
    before = torch.cat([value.flatten() for value in values(model)])
    after = torch.cat([value.flatten() for value in values(PruneL1(amount).apply(model))])
    count = round(amount * before.numel())
    assert int((after == 0).sum()) == count
    assert set((after == 0).nonzero().flatten().tolist()) == set(before.abs().argsort()[:count].tolist())
    assert torch.equal(after[after != 0], before[after != 0])


def test_layer_pruning_takes_the_same_share_from_each_matrix(build):
    model = build("lstm")
    pruned = values(PruneL1(0.25, "layer").apply(model))
    assert [int((value == 0).sum()) for value in pruned] == [round(0.25 * value.numel()) for value in values(model)]


def test_global_pruning_takes_more_from_the_matrix_with_smaller_weights(build):
    model = build("lstm")
    with torch.no_grad():
        model.attention.weight.mul_(1e-3)
    pruned = PruneL1(0.2).apply(model)
    assert int(pruned.attention.weight.count_nonzero()) == 0
    assert pruned.lstm.weight_hh_l0.count_nonzero() > 0.7 * pruned.lstm.weight_hh_l0.numel()


@pytest.mark.parametrize("name", ["bert", "lstm"])
def test_embeddings_biases_and_norms_are_left_alone(build, name):
    model = build(name)
    pruned = dict(PruneL1(0.9).apply(model).named_parameters())
    matrix = {id(getattr(module, part)) for module, part in matrices(model)}
    others = {part: weight for part, weight in model.named_parameters() if id(weight) not in matrix}
    assert any("embedding" in part for part in others)
    assert any("bias" in part for part in others)
    assert all(torch.equal(pruned[part], weight) for part, weight in others.items())


def test_the_given_model_stays_as_it_was(build):
    model = build("lstm")
    before = copy.deepcopy(model.state_dict())
    PruneL1(0.5).apply(model)
    assert model.training
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("name", ["distilbert", "lstm"])
@pytest.mark.usefixtures("no_pickle")
def test_a_pruned_model_is_saved_and_loaded_like_any_other(build, make_batch, folder, name):
    model = build(name)
    pruned = PruneL1(0.5).apply(model)
    pruned.save(folder)
    loaded = type(model).load(folder)
    batch = make_batch(3, 7)
    assert torch.equal(loaded(batch).logits, pruned(batch).logits)
    assert not torch.equal(pruned(batch).logits, model.eval()(batch).logits)
    zeros = sum(int((value == 0).sum()) for value in values(pruned))
    assert loaded.count_parameters()[0] == model.count_parameters()[0]
    assert model.count_parameters()[1] - loaded.count_parameters()[1] == zeros
