"""The weights are trained on as INT8 will round them, and INT8 then rounds nothing more."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from readable import fresh, training_of

from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.quantization_aware import (
    QuantizationAware,
    RoundedWeights,
    asymmetric,
    rounded_weights,
    symmetric,
)
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention

SPECS = {
    "encoder": Encoder("e", "distilbert", layers=1, width=32, heads=2, feed_forward=48, init="random"),
    "lstm": LstmAttention(embedding=16, hidden=16, layers=2, init="random"),
}


@pytest.fixture(params=SPECS)
def trained(request, context):
    """A small model that reads the toy data, and surroundings in which it is really trained on."""
    spec = SPECS[request.param]
    context.training = training_of(spec)
    return fresh(spec).eval(), context


@pytest.mark.parametrize("rounding", [symmetric, partial(symmetric, by_row=True), asymmetric])
def test_rounding_twice_is_rounding_once(rounding):
    values = torch.randn(20, 30, generator=torch.Generator().manual_seed(1)) + 0.3
    once = rounding(values)
    assert torch.allclose(rounding(once), once, atol=1e-6)
    assert not torch.allclose(once, values, atol=1e-4)


def test_the_grids_have_as_many_numbers_as_8_bits_and_hold_zero():
    values = torch.linspace(-1, 3, 10_000)
    assert symmetric(values).unique().numel() == 127 + 1 + 42
    assert asymmetric(values).unique().numel() == 256
    assert 0.0 in asymmetric(values)
    by_row = symmetric(torch.stack([values, values / 100]), by_row=True)
    assert torch.allclose(by_row[1] * 100, by_row[0], atol=1e-5)
    assert not symmetric(torch.stack([values, values / 1000]))[1].any()


def test_all_zero_matrices_stay():
    zero = torch.zeros(3, 4)
    assert torch.equal(symmetric(zero), zero)
    assert torch.equal(asymmetric(zero), zero)


def test_weights_are_rounded_in_forward_passes_and_exact_in_updates(build):
    model = build("distilbert")
    exact = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    held = RoundedWeights(model, per_channel=False)
    held.before_forward()
    held.before_forward()
    rounded = {name for name, weight in model.named_parameters() if not torch.equal(weight, exact[name])}
    matrices = {
        name for name, weight in exact.items() if weight.ndim > 1 and ("norm" not in name.lower() or "emb" in name)
    }
    assert rounded == matrices
    held.before_update()
    held.before_update()
    assert all(torch.equal(weight, exact[name]) for name, weight in model.named_parameters())


def test_it_trains_and_leaves_weights_that_int8_does_not_change(trained):
    model, context = trained
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    after = QuantizationAware(epochs=2, rate=1.0).apply(model, context)
    assert all(torch.equal(weight, before[name]) for name, weight in model.named_parameters())
    assert not after.training
    assert not any(module._forward_pre_hooks for module in after.modules())
    for weight, rounding in rounded_weights(after, per_channel=True):
        assert torch.allclose(rounding(weight), weight, atol=1e-6)
    biases = [name for name, weight in after.named_parameters() if weight.ndim == 1]
    assert any(not torch.equal(dict(after.named_parameters())[name], before[name]) for name in biases)


@pytest.mark.parametrize("per_channel", [True, False])
def test_onnx_int8_stores_the_very_numbers(trained, per_channel):
    """The quantizer's rule is ONNX Runtime's own; ours must be the same."""
    model, context = trained
    after = QuantizationAware(per_channel, epochs=1).apply(model, context)
    ours = [weight.detach().numpy() for weight, _ in rounded_weights(after, per_channel)]
    graph = onnx.load_model_from_string(OnnxInt8(per_channel).apply(after, context).model).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = 0
    for name, values in stored.items():
        if not name.endswith("_quantized"):
            continue
        stem = name.removesuffix("_quantized")
        scale, zero = stored[f"{stem}_scale"].ravel(), stored[f"{stem}_zero_point"].ravel()  # outputs lie last
        assert scale.size in {1, values.shape[-1] if per_channel else 1}
        real = (values.astype(np.float32) - zero.astype(np.float32)) * scale
        found += any(
            mine.size == real.size and np.allclose(np.sort(mine.ravel()), np.sort(real.ravel()), atol=1e-5)
            for mine in ours
        )
    assert found >= len(ours) - 1  # position vectors may have been folded away
