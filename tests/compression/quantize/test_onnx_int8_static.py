"""Static INT8 answers nearly as float does, and the same whatever stands in the batch."""

from __future__ import annotations

import pytest
import torch
from readable import each_alone, fresh

from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.onnx_int8_static import OnnxInt8Static
from kd_lab.compression.quantize.torch_int8_classifier import TorchInt8Classifier
from kd_lab.core.errors import UserError
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttention, LstmAttentionClassifier

SHAPE = {"layers": 1, "width": 32, "heads": 2, "feed_forward": 48, "init": "random"}


@pytest.fixture(scope="module")
def made():
    """What `three` has made: exports take seconds, and the rows are the same for each test."""
    return {}


@pytest.fixture(params=["bert", "distilbert"])
def three(request, context, made):
    """A model, the same in static INT8, and as ONNX."""
    if request.param not in made:
        model = fresh(Encoder("e", request.param, **SHAPE), 5).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.1)
        made[request.param] = model, OnnxInt8Static(rows=40).apply(model, context), OnnxExport().apply(model)
    return made[request.param]


def test_it_says_nearly_the_same_from_a_quarter_of_the_weights(three, context):
    model, small, exported = three
    batch = next(context.sample(60, 60, seed=9))
    with torch.no_grad():
        exact = model(batch).logits
    rough = small(batch).logits
    assert 0 < float((rough - exact).abs().mean()) < 0.15 * float(exact.std())
    assert small.quantized
    assert small.count_parameters()[0] == exported.count_parameters()[0]
    assert len(small.model) < 0.3 * len(exported.model)


def test_no_row_depends_on_the_rows_or_the_padding_beside_it(three, context):
    batch = next(context.sample(16, 16))
    alone = torch.cat([three[1](row).logits for row in each_alone(batch)])
    assert torch.allclose(alone, three[1](batch).logits, atol=1e-4)


def test_an_exported_model_is_quantized_alike_and_an_int8_one_is_refused(three, context):
    _, small, exported = three
    assert OnnxInt8Static(rows=40).apply(exported, context).model == small.model
    for already in (OnnxInt8().apply(exported), small):
        with pytest.raises(UserError, match=r"compression\.onnx_int8_static: .* INT8 already"):
            OnnxInt8Static().apply(already, context)


def test_what_it_cannot_take_is_refused_before_any_training():
    assert OnnxInt8Static().check(EncoderClassifier, Encoder("e", "bert", **SHAPE)) is OnnxClassifier
    for kind, model in (
        (LstmAttentionClassifier, None),
        (OnnxClassifier, LstmAttention(init="random")),
        (TorchInt8Classifier, None),
    ):
        with pytest.raises(UserError, match=r"^compression\.onnx_int8_static: "):
            OnnxInt8Static().check(kind, model)
