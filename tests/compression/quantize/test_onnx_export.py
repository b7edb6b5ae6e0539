"""An exported model says what the torch model says, for any number of examples and tokens."""

from __future__ import annotations

import pytest
import torch
from readable import reloaded
from torch import nn

from kd_lab.compression.quantize import onnx_export
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.core.errors import UserError
from kd_lab.models.lstm_attention import LstmAttentionClassifier


@pytest.fixture(scope="module", params=["bert", "distilbert", "lstm"])
def pair(request, build, exported):
    return build(request.param).eval(), exported(request.param)


@pytest.mark.parametrize("tokens", [1, 7, 40])
@pytest.mark.parametrize("rows", [1, 3])
def test_it_agrees_with_torch_at_every_shape(pair, make_batch, rows, tokens):
    model, exported = pair
    batch = make_batch(rows, tokens)
    expected = model(batch).logits.detach()
    said = exported(batch).logits
    assert said.dtype == torch.float32
    assert (said - expected).abs().max() < 1e-4


def test_the_second_text_of_a_pair_matters_where_the_model_has_segments(make_batch, pair):
    model, exported = pair
    single, paired = make_batch(3, 9), make_batch(3, 9, segments=True)
    assert (exported(paired).logits - model(paired).logits).abs().max() < 1e-4
    differs = not torch.equal(exported(paired).logits, exported(single).logits)
    assert differs == ("token_type_ids" in exported.inputs) == getattr(model, "two_segments", False)


@pytest.mark.usefixtures("no_pickle")
def test_loading_gives_the_same_logits_to_the_last_bit(pair, make_batch, folder):
    _, exported = pair
    batch = make_batch(3, 7)
    assert torch.equal(reloaded(exported, folder)(batch).logits, exported(batch).logits)


def test_it_counts_the_weights_that_torch_counts(pair):
    model, exported = pair
    assert exported.count_parameters() == model.count_parameters()
    assert not exported.quantized


def test_a_model_in_training_mode_is_exported_without_dropout_and_left_in_it(build, make_batch):
    model = build("lstm")
    exported = OnnxExport().apply(model)
    assert model.training
    batch = make_batch(3, 7)
    assert (exported(batch).logits - model.eval()(batch).logits).abs().max() < 1e-4


@pytest.mark.usefixtures("anew")
def test_the_exporter_says_nothing(build, capfd, caplog, recwarn):
    caplog.set_level("INFO")  # as under Hydra
    OnnxExport().apply(build("distilbert"))
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)
    assert not [record for record in caplog.records if not record.name.startswith("torch.__trace")]


def test_no_path_of_this_machine_is_in_the_file(pair):
    assert b".py" not in pair[1].model


@pytest.mark.usefixtures("anew")
def test_a_model_that_can_only_be_traced_for_one_length_is_refused(build, monkeypatch):
    monkeypatch.setattr(onnx_export, "can_replace", lambda _: False)  # torch's own LSTM fixes T without a word
    with pytest.raises(UserError, match="any number of examples and tokens"):
        OnnxExport().apply(build("lstm"))


def test_a_bidirectional_lstm_is_not_taken_for_one_from_left_to_right(build):
    class Both(LstmAttentionClassifier):
        def __init__(self, config):
            super().__init__(config)
            self.lstm = nn.LSTM(config["embedding"], config["hidden"] // 2, batch_first=True, bidirectional=True)

    with pytest.raises(UserError, match="Both"):
        OnnxExport().apply(Both(build("lstm").config))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "missing"])
def test_a_damaged_file_is_refused(pair, folder, damage):
    model = pair[1].model
    content = {"cut": model[: len(model) // 2], "garbage": b"not a model", "empty": b""}
    if damage != "missing":
        (folder / "model.onnx").write_bytes(content[damage])
    with pytest.raises(UserError, match=r"model\.onnx"):
        OnnxClassifier.load(folder)


def test_a_graph_with_other_inputs_is_refused(folder):
    program = torch.onnx.export(nn.Linear(2, 2), (torch.ones(3, 2),), dynamo=True, verbose=False)
    (folder / "model.onnx").write_bytes(program.model_proto.SerializeToString())
    with pytest.raises(UserError, match="input_ids"):
        OnnxClassifier.load(folder)
