"""What holds for every step that removes parts of a model: alone, in any order, and before a quantization."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import permutations

import pytest
import torch
import transformers
import yaml
from readable import ENCODERS, SPECS, built, logits, reloaded, sizes, some

from kd_lab.compression.prune.feed_forward import PruneWidth
from kd_lab.compression.prune.heads import PruneHeads
from kd_lab.compression.prune.layers import DropLayers
from kd_lab.compression.prune.low_rank_embedding import LowRankEmbedding
from kd_lab.compression.prune.lstm_units import PruneLstm
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.torch_int8 import TorchInt8
from kd_lab.compression.step import apply_all
from kd_lab.core.errors import UserError
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttentionClassifier

STEPS = {  # as small as the models of these tests
    "prune_heads": PruneHeads(rows=6, epochs=3, rate=0.7),
    "prune_width": PruneWidth(rows=6, epochs=3, rate=0.7),
    "drop_layers": DropLayers(epochs=3, rate=0.7),
    "low_rank_embedding": LowRankEmbedding(rank=5, epochs=3, rate=0.7),
    "prune_lstm": PruneLstm(rows=6, epochs=3, rate=0.7),
}
OF_ENCODERS = ("prune_heads", "prune_width", "drop_layers", "low_rank_embedding")
PAIRS = [(step, name) for step in OF_ENCODERS for name in ("bert", "distilbert", "roberta")]
PAIRS += [("prune_lstm", "lstm"), ("low_rank_embedding", "lstm")]
KINDS = {"lstm": LstmAttentionClassifier}


def chosen(*names: str):
    return {name: STEPS[name] for name in names}


@pytest.mark.parametrize(("step", "name"), PAIRS)
def test_the_given_model_stays_as_it_was_and_the_new_one_shares_nothing_with_it(step, name, context):
    model = built(name)
    model.returns = frozenset({"logits", "hidden"})
    before, config = copy.deepcopy(model.state_dict()), copy.deepcopy(model.config)
    drawn = torch.get_rng_state()
    small = STEPS[step].apply(model, context)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not any(module.training for module in small.modules())
    assert small.returns == model.returns
    with torch.no_grad():
        for weight in small.parameters():
            weight.zero_()
    assert model.training
    assert model.config == config
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(weight, before[part]) for part, weight in model.state_dict().items())


@pytest.mark.parametrize(("step", "name"), PAIRS)
def test_it_trains_on_at_the_rate_asked_for_says_what_it_did_and_its_class_was_known(step, name, context):
    trained = []
    context.training = lambda model, _, epochs, rate, constraint: trained.append((model, epochs, rate, constraint))
    small = STEPS[step].apply(built(name), context)
    assert trained == [(small, 3, 0.7, None)]
    assert yaml.safe_load(yaml.safe_dump(context.notes))[step] == context.notes[step]  # plain data
    assert STEPS[step].check(KINDS.get(name, EncoderClassifier), SPECS[name]) is type(small)


@pytest.mark.parametrize(("step", "name"), PAIRS)
def test_all_that_is_left_learns(step, name, context):
    small, batch = STEPS[step].apply(built(name), context).train(), some(context)
    torch.nn.functional.cross_entropy(small(batch).logits, batch.labels).backward()
    assert all(int(weight.grad.count_nonzero()) > 0 for weight in small.parameters())


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("step", ["prune_width", "drop_layers"])
def test_transformers_reads_the_result_unchanged(step, family, context, folder):
    small, batch = STEPS[step].apply(built(family), context), some(context)
    assert small.portable
    small.save(folder)
    theirs, about = transformers.AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(about[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        said = theirs.eval()(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    torch.testing.assert_close(said, logits(small, batch), atol=1e-6, rtol=0)


@pytest.mark.parametrize("order", list(permutations(OF_ENCODERS)), ids=",".join)
def test_steps_may_come_in_any_order(order, context, folder):
    """The same shape in the end, saved and loaded to the bit."""
    model, batch = built("distilbert"), some(context)
    small = apply_all(chosen(*order), model, context)
    assert small.config == {
        **model.config,
        "n_layers": 2,
        "hidden_dim": 6,
        "kd_lab": {"heads": 2, "embedding_rank": 5},
    }
    assert torch.equal(logits(reloaded(small, folder), batch), logits(small, batch))
    vectors = 30_522 * 5 + 5 * 16 + 40 * 16 + 2 * 16
    layer = 3 * (16 * 8 + 8) + (8 * 16 + 16) + (16 * 6 + 6) + (6 * 16 + 16) + 2 * 2 * 16
    assert sizes(small) == vectors + 2 * layer + (16 * 16 + 16) + (16 * 3 + 3)


@pytest.mark.parametrize("order", [("prune_lstm", "low_rank_embedding"), ("low_rank_embedding", "prune_lstm")])
def test_steps_of_the_lstm_may_come_in_any_order(order, context, folder):
    model = built("lstm")
    small = apply_all(chosen(*order), model, context)
    assert small.config == {**model.config, "hidden": 5, "embedding_rank": 5}
    assert torch.equal(logits(reloaded(small, folder), some(context)), logits(small, some(context)))


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (("drop_layers", "prune_heads", "prune_width"), "distilbert"),
        (("drop_layers", "prune_heads", "prune_width", "low_rank_embedding"), "bert"),
        (("prune_lstm", "low_rank_embedding"), "lstm"),
    ],
)
def test_what_is_left_goes_on_to_onnx_and_int8(names, model, context, folder):
    small, batch = apply_all(chosen(*names), built(model), context), some(context)
    exact = logits(small, batch)
    exported = OnnxExport().apply(small)
    torch.testing.assert_close(exported(batch).logits, exact, atol=1e-4, rtol=0)
    quantized = OnnxInt8().apply(exported)
    assert quantized.quantized
    assert len(quantized.model) < 0.4 * len(exported.model)
    in_torch = TorchInt8().apply(small)
    for rough in (quantized(batch).logits, in_torch(batch).logits):
        assert 0 < (rough - exact).abs().max() < 0.2 * exact.abs().max()
    assert torch.equal(reloaded(in_torch, folder)(batch).logits, in_torch(batch).logits)


@pytest.mark.parametrize("step", ["prune_heads", "prune_width", "drop_layers"])
def test_the_lstm_is_told_of_its_own_step_and_an_unknown_family_of_those_there_are(step):
    with pytest.raises(UserError, match=rf"^compression\.{step}: .*for the LSTM there is prune_lstm"):
        STEPS[step].check(LstmAttentionClassifier, SPECS["lstm"])
    with pytest.raises(UserError, match=rf"^compression\.{step}: expected .*families.*got albert"):
        STEPS[step].check(EncoderClassifier, replace(ENCODERS["bert"], architecture="albert"))
