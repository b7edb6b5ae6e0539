"""INT8 in OpenVINO reaches all but the LSTM layers, and a row's logits depend on that row alone."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from compression.conftest import SHAPE
from readable import each_alone, reloaded
from torch import nn

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.prune.magnitude import PruneL1, matrices
from kd_lab.compression.quantize.openvino_classifier import OpenVinoClassifier
from kd_lab.compression.quantize.openvino_int8 import OpenVinoInt8
from kd_lab.compression.step import apply_all
from kd_lab.core.types import Batch

pytestmark = pytest.mark.skipif(
    not (find_spec("openvino") and find_spec("nncf")), reason="pip install 'kd_lab[openvino]'"
)
NAMES = ["bert", "distilbert", "lstm"]


class Rows(CompressionContext):
    """BuildContext whose train are random rows of the tiny models' vocabulary."""

    def sample(self, rows, size, seed=0):
        generator = torch.Generator().manual_seed(seed)
        for row in range(rows):
            ids = torch.randint(1, 60, (size, 5 + row % 20), generator=generator)
            zeros = torch.zeros(size, dtype=torch.int64)
            yield Batch(zeros, ids, torch.ones_like(ids), zeros)


def rows():
    return Rows(None, None, None, None, None)


def integers(made: OpenVinoClassifier) -> list[np.ndarray]:
    constants = [node for node in made.model.get_ops() if node.get_type_name() == "Constant" and list(node.shape)]
    return [node.data for node in constants if node.get_element_type().to_string() in ("i8", "u8")]


@pytest.fixture(scope="module", params=NAMES)
def pair(request, build):
    return build(request.param).eval(), OpenVinoInt8(rows=64).apply(build(request.param), rows())


def test_every_matrix_and_embedding_but_the_lstm_is_8_bit(pair):
    model, made = pair
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding | nn.Linear)]
    expected = sum(module.weight.numel() for module in tables)
    segments = sum(m.weight.numel() for m in tables if isinstance(m, nn.Embedding) and m.num_embeddings == 2)
    assert expected - segments <= sum(weight.size for weight in integers(made)) <= expected


def test_8_bit_products_are_what_really_runs(pair):
    model, made = pair
    linear = sum(isinstance(module, nn.Linear) for module in model.modules())
    lstms = sum(module.num_layers for module in model.modules() if isinstance(module, nn.LSTM))
    blocks = 0 if lstms else SHAPE["layers"]  # in each, the weighted sum over tokens may stay float
    assert set(made.precisions) <= {"f32", "int8"}
    assert made.precisions["int8"] >= linear
    assert made.precisions.get("f32", 0) <= blocks + lstms + bool(lstms)


@pytest.mark.parametrize("tokens", [1, 7, 40])
@pytest.mark.parametrize("count", [1, 3])
def test_logits_stay_close_to_float_at_every_shape(pair, make_batch, count, tokens):
    model, made = pair
    exact, rough = model(make_batch(count, tokens)).logits.detach(), made(make_batch(count, tokens)).logits
    usual = model(make_batch(32, 12)).logits.detach().abs().max()
    bound = 0.4 if tokens == 1 else 0.2  # alone, a token hears itself: beyond what 5 to 24 of them showed
    assert 0 < (rough - exact).abs().max() < bound * usual


def test_predictions_agree_with_float(pair, make_batch):
    model, made = pair
    batch = make_batch(32, 12)
    assert (made(batch).logits.argmax(-1) == model(batch).logits.argmax(-1)).float().mean() >= 0.85


def test_no_range_is_taken_from_the_rows_beside_a_row_or_from_padding(pair, make_batch):
    _, made = pair
    batch = make_batch(8, 30)
    alone = torch.cat([made(row).logits for row in each_alone(batch)])
    torch.testing.assert_close(alone, made(batch).logits, atol=0.01, rtol=0.01)


def test_every_weight_is_counted_and_no_scale(pair):
    model, made = pair
    total, nonzero = model.count_parameters()
    assert made.count_parameters()[0] == total
    assert 0.95 * nonzero < made.count_parameters()[1] <= nonzero


@pytest.mark.usefixtures("no_pickle")
def test_loading_gives_the_same_logits_and_counts(pair, make_batch, folder):
    _, made = pair
    loaded = reloaded(made, folder)
    assert torch.equal(loaded(make_batch(3, 7)).logits, made(make_batch(3, 7)).logits)
    assert loaded.count_parameters() == made.count_parameters()
    assert loaded.precisions == made.precisions


@pytest.mark.parametrize("name", ["distilbert", "lstm"])
def test_pruned_weights_stay_zero(build, name):
    steps = {"prune_l1": PruneL1(0.6), "openvino_int8": OpenVinoInt8(rows=16)}
    pruned = steps["prune_l1"].apply(build(name))
    small = apply_all(steps, build(name), rows())
    zeros = sum(int((getattr(module, part) == 0).sum()) for module, part in matrices(pruned))
    total, nonzero = small.count_parameters()
    assert total - nonzero >= zeros > 0
    assert nonzero > 0.9 * pruned.count_parameters()[1]


def test_the_ranges_come_from_as_many_rows_of_train_as_there_are(build, context, monkeypatch):
    monkeypatch.setattr(CompressionContext, "sample", Rows.sample)
    OpenVinoInt8(rows=5).apply(build("lstm"), context)
    assert context.notes["openvino_int8"]["rows"] == 5
    assert sum(context.notes["openvino_int8"]["matrix_layers"].values()) >= 4


@pytest.mark.usefixtures("anew")
def test_the_quantizer_says_nothing_and_the_given_model_stays_as_it_was(build, capfd, caplog, folder):
    """And the file holds one byte a weight."""
    model = build("distilbert")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    caplog.set_level("INFO")  # as under Hydra
    capfd.readouterr()
    made = OpenVinoInt8(rows=4).apply(model, rows())
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    made.save(folder)
    eight, total = sum(weight.size for weight in integers(made)), made.count_parameters()[0]
    scales = 4 * 1000
    assert (folder / "model.bin").stat().st_size < eight + 4 * (total - eight) + 4 * scales
