"""A model that trains without dropout says in training what it says in use, and drops again afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_lab.compression.without_dropout import without_dropout


@pytest.mark.parametrize("name", ["bert", "distilbert", "lstm"])
def test_training_mode_says_what_evaluation_mode_says(build, make_batch, name):
    model, batch = build(name), make_batch(3, 9)
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    before = [module.p for module in drops]
    torch.manual_seed(0)
    assert not torch.allclose(model.train()(batch).logits, model.eval()(batch).logits, atol=1e-4)
    with without_dropout(model):
        torch.testing.assert_close(model.train()(batch).logits, model.eval()(batch).logits, rtol=0, atol=1e-5)
    assert [module.p for module in drops] == before
    assert any(before)
    if name == "lstm":
        assert model.lstm.dropout > 0


def test_it_drops_again_after_an_error(build):
    model = build("bert")
    with pytest.raises(ZeroDivisionError), without_dropout(model):
        raise ZeroDivisionError
    assert any(module.p for module in model.modules() if isinstance(module, nn.Dropout))
