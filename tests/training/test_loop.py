"""A fitted model is trained on under the loss of its fit, while a step of compression holds its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cut_fits import cut_in_second_epoch

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.training.fit import FitSpec, fit, recover
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer

SPEC = FitSpec(
    model=LstmAttention(embedding=8, hidden=8, layers=1, dropout=0.1, init="random"),
    loss=WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0}),
    optimizer=AdamW(head_lr=0.02),
    trainer=Trainer(max_epochs=2, batch_size=16, accumulate=2, precision="32-true", device="cpu"),
)


class Watch:
    """Holds one weight at 1 whenever the model is used and at its own value whenever it is updated."""

    def __init__(self, weight):
        self.weight, self.own, self.calls, self.shares = weight, None, [], []

    def before_forward(self):
        self.calls.append("forward")
        if self.own is None:
            self.own = self.weight.data[0, 0].clone()
            self.weight.data[0, 0] = 1.0

    def before_update(self):
        self.calls.append("update")
        if self.own is not None:
            self.weight.data[0, 0] = self.own
            self.own = None

    def after_update(self, share):
        self.shares.append(share)


@pytest.fixture
def fitted(toy_tokens, tmp_path):
    return fit(SPEC, toy_tokens, None, Cache(tmp_path / "cache"), {"labels": toy_tokens.classes}, {})


def go_on(fitted, toy_tokens, scratch, constraint=None, epochs=2):
    model = fitted.load()
    watch = constraint and constraint(model.classifier.weight)
    about = recover(SPEC, None, scratch, model, toy_tokens, epochs=epochs, lr_scale=0.5, constraint=watch)
    return model, about, watch


def test_it_learns_on_and_keeps_the_last_epoch(fitted, toy_tokens, tmp_path):
    before = fitted.load().classifier.weight
    model, about, _ = go_on(fitted, toy_tokens, tmp_path / "scratch")
    assert len(about["history"]) == 2
    assert about["history"][-1]["train/loss"] < fitted.about()["history"][-1]["train/loss"]
    assert not torch.equal(model.classifier.weight, before)
    assert not model.training


def test_the_weights_are_held_in_each_forward_pass_and_free_in_each_update(fitted, toy_tokens, tmp_path):
    model, about, watch = go_on(fitted, toy_tokens, tmp_path / "scratch", Watch)
    batches = -(-len(toy_tokens.split("train")) // 16)
    updates = 2 * -(-batches // 2)
    assert watch.shares == pytest.approx([(n + 1) / updates for n in range(updates)])
    assert watch.calls.count("forward") == 2 * (batches + 1) + 1  # validation once an epoch, and the end
    assert watch.calls.count("update") == updates + 2
    assert model.classifier.weight[0, 0] == 1.0
    assert watch.own != 1.0
    assert about["history"][0].keys() == about["history"][1].keys()


def test_one_that_was_cut_off_ends_alike(fitted, toy_tokens, tmp_path):
    whole, _, _ = go_on(fitted, toy_tokens, tmp_path / "whole", Watch)
    with cut_in_second_epoch():
        go_on(fitted, toy_tokens, tmp_path / "cut", Watch)
    resumed, _, _ = go_on(fitted, toy_tokens, tmp_path / "cut", Watch)
    assert all(torch.equal(one, two) for one, two in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_loss_hears_how_many_rows_each_class_has(toy_tokens, tmp_path):
    term = CrossEntropy(class_weights="balanced")
    spec = replace(SPEC, loss=WeightedSum({"cross_entropy": term}, {"cross_entropy": 1.0}))
    fit(spec, toy_tokens, None, Cache(tmp_path / "cache"), {"labels": toy_tokens.classes}, {})
    counts = np.bincount(toy_tokens.split("train").labels, minlength=3)
    assert np.allclose(term.class_weight_values.cpu(), counts.sum() / (3 * counts))


def test_with_balanced_sampling_class_weights_have_nothing_left_to_weigh(toy_tokens, tmp_path):
    term = CrossEntropy(class_weights="balanced")
    loss = WeightedSum({"cross_entropy": term}, {"cross_entropy": 1.0})
    spec = replace(SPEC, loss=loss, trainer=replace(SPEC.trainer, sampling="balanced"))
    fit(spec, toy_tokens, None, Cache(tmp_path / "cache"), {"labels": toy_tokens.classes}, {})
    assert term.class_weight_values.tolist() == [1.0] * len(toy_tokens.classes)


def test_balanced_accuracy_chooses_the_best_epoch(toy_tokens, tmp_path):
    spec = replace(SPEC, trainer=replace(SPEC.trainer, monitor="balanced_accuracy", max_epochs=3))
    fitted = fit(spec, toy_tokens, None, Cache(tmp_path / "cache"), {"labels": toy_tokens.classes}, {})
    assert all(0 <= epoch["validation/balanced_accuracy"] <= 1 for epoch in fitted.about()["history"])


def test_a_sampling_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"trainer\.sampling"):
        Trainer(sampling="even")
