"""INT8 in ONNX Runtime reaches every matrix, LSTM and embedding, and keeps what pruning zeroed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from readable import reloaded

from kd_lab.compression.prune.magnitude import PruneL1, matrices
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.step import apply_all
from kd_lab.core.errors import UserError

EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)


def weights(small: OnnxClassifier) -> dict[str, np.ndarray]:
    """The 8-bit weights of a graph, without zero points."""
    tensors = onnx.load_model_from_string(small.model).graph.initializer
    return {part.name: numpy_helper.to_array(part) for part in tensors if part.name.endswith("_quantized")}


@pytest.fixture(scope="module", params=["bert", "distilbert", "lstm"])
def pair(request, build, exported):
    return build(request.param).eval(), OnnxInt8().apply(exported(request.param))


def test_every_matrix_and_embedding_is_8_bit(pair):
    model, small = pair
    tables = [module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    matrix = [getattr(module, part).numel() for module, part in matrices(model)]
    assert sum(weight.size for weight in weights(small).values()) == sum(matrix) + sum(tables)
    assert small.quantized


@pytest.mark.parametrize("tokens", [1, 7, 40])
@pytest.mark.parametrize("rows", [1, 3])
def test_logits_stay_close_to_float_at_every_shape(pair, make_batch, rows, tokens):
    model, small = pair
    exact, rough = model(make_batch(rows, tokens)).logits.detach(), small(make_batch(rows, tokens)).logits
    assert 0 < (rough - exact).abs().max() < 0.15 * exact.abs().max()


def test_predictions_agree_with_float(pair, make_batch):
    model, small = pair
    batch = make_batch(32, 12)
    assert (small(batch).logits.argmax(-1) == model(batch).logits.argmax(-1)).float().mean() >= 0.9


def test_the_lstm_runs_on_8_bit_weights(exported):
    small = OnnxInt8().apply(exported("lstm"))
    graph = onnx.load_model_from_string(small.model).graph
    kinds = {part.name: part.data_type for part in graph.initializer}
    layers = [node for node in graph.node if "LSTM" in node.op_type]
    assert [node.op_type for node in layers] == ["DynamicQuantizeLSTM"] * 2
    assert all(kinds[name] in EIGHT_BITS for node in layers for name in node.input[1:3])


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_a_torch_encoders_attention_becomes_one_operation_and_means_the_same(name, build, exported, make_batch):
    fused, plain = OnnxInt8().apply(build(name)), OnnxInt8().apply(exported(name))
    fused_does, plain_does = (
        [node.op_type for node in onnx.load_model_from_string(one.model).graph.node] for one in (fused, plain)
    )
    assert fused_does.count("MultiHeadAttention") == plain_does.count("Softmax") > 0
    assert "Softmax" not in fused_does
    for rows, tokens in ((1, 1), (1, 7), (3, 40)):
        batch = make_batch(rows, tokens)
        assert torch.allclose(fused(batch).logits, plain(batch).logits, atol=0.02)


@pytest.mark.usefixtures("no_pickle")
def test_loading_gives_the_same_logits_to_the_last_bit(pair, make_batch, folder):
    _, small = pair
    batch = make_batch(3, 7)
    assert torch.equal(reloaded(small, folder)(batch).logits, small(batch).logits)


def test_an_exported_model_gives_the_same_as_the_torch_model(build, exported):
    assert OnnxInt8().apply(exported("lstm")).model == OnnxInt8().apply(build("lstm")).model


def test_a_scale_for_each_output_is_closer_to_float(build, exported):
    matrix = build("distilbert").net.classifier.weight.detach().numpy()

    def error(per_channel: bool) -> float:
        graph = onnx.load_model_from_string(OnnxInt8(per_channel).apply(exported("distilbert")).model).graph
        parts = {part.name: numpy_helper.to_array(part) for part in graph.initializer}
        name = "classifier.net.classifier.weight"
        return float(np.abs(parts[f"{name}_quantized"] * parts[f"{name}_scale"] - matrix.T).mean())

    assert error(per_channel=True) < error(per_channel=False)


def test_the_file_shrinks_and_every_weight_is_counted(pair, request, exported):
    model, small = pair
    total, nonzero = model.count_parameters()
    saved = len(exported(request.node.callspec.params["pair"]).model) - len(small.model)
    assert saved > 2 * sum(weight.size for weight in weights(small).values())
    assert small.count_parameters()[0] == total
    assert 0.95 * nonzero < small.count_parameters()[1] <= nonzero


@pytest.mark.parametrize(("name", "per_channel"), [("distilbert", True), ("lstm", False), ("lstm", True)])
def test_pruned_weights_stay_zero(build, context, name, per_channel):
    steps = {"prune_l1": PruneL1(0.6), "onnx_int8": OnnxInt8(per_channel)}
    model = build(name)
    pruned = steps["prune_l1"].apply(model)
    small = apply_all(steps, model, context)
    zeros = sum(int((getattr(module, part) == 0).sum()) for module, part in matrices(pruned))
    eight = [weight for weight in weights(small).values() if weight.dtype == np.int8]
    assert sum(int((weight == 0).sum()) for weight in eight) >= zeros > 0
    assert 0.9 * pruned.count_parameters()[1] < small.count_parameters()[1] <= pruned.count_parameters()[1]


def test_a_zero_embedding_counts_as_zero_though_it_is_stored_as_another_number(build, exported):
    model = build("lstm")
    with torch.no_grad():
        model.embedding.weight[5:25] = 0.0
    full, empty = OnnxInt8().apply(exported("lstm")), OnnxInt8().apply(model)
    assert full.count_parameters()[1] - empty.count_parameters()[1] > 0.9 * model.embedding.weight[5:25].numel()


def test_an_int8_model_is_not_quantized_again(pair):
    with pytest.raises(UserError, match="INT8 already"):
        OnnxInt8().apply(pair[1])


def test_the_quantizer_says_nothing(exported, capfd, caplog):
    given = exported("bert")
    caplog.set_level("INFO")  # as under Hydra
    caplog.clear()
    capfd.readouterr()
    OnnxInt8().apply(given)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
