"""What the notes of each step claim holds of the model after all steps, or the order is refused before any training."""

from __future__ import annotations

import json
from itertools import permutations

import pytest
import torch
import yaml
from hydra.utils import instantiate
from readable import fresh, layers_of, training_of

from kd_lab.compression.apply import Recovery
from kd_lab.compression.prune.magnitude import PruneL1
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.quantization_aware import QuantizationAware, rounded_weights
from kd_lab.compression.step import apply_all, check_all
from kd_lab.compression.zeros import matrices, share_of_zeros
from kd_lab.core.errors import UserError
from kd_lab.core.paths import root
from kd_lab.models.architectures import heads_in
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.tfidf import Tfidf
from kd_lab.models.word_embedding import word_embedding
from kd_lab.training.fit import FitSpec
from kd_lab.training.settings import Trainer

CONF = root() / "conf" / "compression"
SMALL = {"epochs": 1, "rows": 8, "rank": 4}  # in place of what the YAML says, where it has the option
EXPORTS = ("onnx", "onnx_int8", "onnx_int8_per_tensor", "onnx_int8_static", "openvino", "openvino_int8")
LASTING = (
    "drop_layers",
    "low_rank_embedding",
    "prune_heads",
    "prune_l1",
    "prune_lstm",
    "prune_width",
    "quantization_aware",
    "trim_vocabulary",
)
WRITTEN = ("sparse", "torch_bf16", "torch_int8")
SPECS = {
    "encoder": Encoder("e", "bert", layers=2, width=16, heads=4, feed_forward=24, init="random"),
    "lstm": LstmAttention(embedding=12, hidden=12, layers=2, init="random"),
}
UNFIT = {"encoder": {"prune_lstm"}, "lstm": {"drop_layers", "prune_heads", "prune_width", "onnx_int8_static"}}


def step(name: str, **options):
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())[name]
    content |= {key: value for key, value in SMALL.items() if key in content}
    content |= {"prune_l1": {"amount": 0.6}, "out_of_scope": {"label": "1"}}.get(name, {})
    return instantiate({**content, **options})


STEPS = {
    name: step(name)
    for name in sorted(path.stem for path in CONF.glob("*.yaml"))
    if name not in ("openvino_bf16", "onnx_int8_per_channel")  # openvino on other processors; onnx_int8 by its old name
}


def shaken(model: TorchClassifier, context, epochs, rate, constraint) -> None:
    """Stands in for training, in a moment: every weight moves at every update, and the hold is called as there."""
    generator = torch.Generator().manual_seed(5)
    for share in (0.5, 1.0):
        if constraint:
            constraint.before_forward()
            constraint.before_update()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.01)
        if constraint:
            constraint.after_update(share)
    if constraint:
        constraint.before_forward()


@pytest.fixture(params=SPECS)
def model(request) -> TorchClassifier:
    return fresh(SPECS[request.param]).eval()


def really_zero(model) -> float:
    """The share of zeros in a model's matrices."""
    weights = torch.cat([getattr(*weight).flatten() for weight in matrices(model)])
    return int((weights == 0).sum()) / len(weights)


def holds(notes, model: TorchClassifier, amount: float | None) -> None:
    """Compares every claim of the notes with the model itself."""
    config = model.config
    for claimed in (facts for name, facts in notes.items() if name.startswith("prune_l1")):
        assert claimed["share_zero_after"] == pytest.approx(really_zero(model), abs=1e-9)
        assert amount is None or claimed["share_zero_after"] >= amount
    if "prune_heads" in notes:
        layers = layers_of(model)
        assert notes["prune_heads"]["heads"] == heads_in(config) == 2
        assert layers[0].attention.self.query.weight.shape[0] == 2 * 4
        assert len(notes["prune_heads"]["kept"]) == len(layers)
    if "prune_width" in notes:
        layers = layers_of(model)
        assert notes["prune_width"]["units"] == config["intermediate_size"] == 12
        assert layers[0].intermediate.dense.weight.shape[0] == 12
        assert len(notes["prune_width"]["importance_kept"]) == len(layers)
    if "drop_layers" in notes:
        assert len(notes["drop_layers"]["kept"]) == config["num_hidden_layers"] == 1
    if "prune_lstm" in notes:
        assert notes["prune_lstm"]["hidden"] == model.lstm.hidden_size == 6
    if "low_rank_embedding" in notes:
        assert notes["low_rank_embedding"]["rank"] == word_embedding(model).embedding_dim == 4
    if "trim_vocabulary" in notes:
        assert notes["trim_vocabulary"]["pieces_after"] == word_embedding(model).num_embeddings < 30522


@pytest.mark.parametrize("pair", list(permutations(LASTING, 2)), ids="-".join)
def test_what_the_notes_claim_holds_after_both_steps_of_every_pair_or_it_is_refused(model, context, pair):
    context.training = shaken
    steps = {name: STEPS[name] for name in pair}
    if set(pair) & {*UNFIT["lstm" if hasattr(model, "lstm") else "encoder"], "quantization_aware"}:
        with pytest.raises(UserError):
            check_all(steps, type(model))
        return
    holds(context.notes, apply_all(steps, model, context), 0.3 if "low_rank_embedding" in pair else 0.5)


TRIPLES = [
    ("prune_l1", "prune_heads", "sparse"),
    ("prune_l1", "prune_width", "torch_int8"),
    ("prune_l1", "drop_layers", "torch_bf16"),
    ("prune_l1", "prune_lstm", "torch_int8"),
    ("prune_l1", "trim_vocabulary", "sparse"),
    ("prune_l1", "low_rank_embedding", "sparse"),
    ("trim_vocabulary", "prune_l1", "prune_lstm"),
    ("prune_heads", "drop_layers", "prune_l1"),
    ("prune_l1", "prune_heads", "prune_width"),
    ("prune_width", "prune_l1", "drop_layers"),
    ("low_rank_embedding", "prune_l1", "trim_vocabulary"),
]


@pytest.mark.parametrize("triple", TRIPLES, ids="-".join)
def test_the_saved_model_of_a_triple_has_at_least_the_zeros_that_its_notes_claim(model, context, triple):
    steps = {name: STEPS[name] for name in triple}
    if set(triple) & UNFIT["lstm" if hasattr(model, "lstm") else "encoder"]:
        with pytest.raises(UserError):
            check_all(steps, type(model))
        return
    context.training = shaken
    last = {name: steps.pop(name) for name in triple if name in WRITTEN}
    trained = apply_all(steps, model, context)
    total, nonzero = apply_all(last, trained, context).count_parameters()
    holds(context.notes, trained, None)
    claimed = context.notes["prune_l1"]["share_zero_after"]
    assert claimed > 0.3
    assert total - nonzero >= claimed * sum(getattr(*weight).numel() for weight in matrices(trained)) - 1


@pytest.mark.parametrize("names", [("prune_l1", "onnx_int8"), ("prune_l1", "onnx_int8_per_tensor")], ids="-".join)
def test_quantization_aware_training_keeps_the_zeros_and_the_int8_grid(model, context, names):
    context.training = shaken
    by_row = not names[1].endswith("per_tensor")
    aware = QuantizationAware(per_channel=by_row, epochs=1)
    check_all({"prune_l1": STEPS["prune_l1"], "quantization_aware": aware, names[1]: STEPS[names[1]]}, type(model))
    pruned = STEPS["prune_l1"].apply(model, context)
    after = aware.apply(pruned, context)
    assert share_of_zeros(matrices(after)) >= 0.6
    for (module, name), (old, _) in zip(matrices(after), matrices(pruned), strict=True):
        assert not getattr(module, name)[getattr(old, name) == 0].any()
    for weight, rounding in rounded_weights(after, per_channel=by_row):
        assert torch.allclose(rounding(weight), weight, atol=1e-6)


def test_a_step_that_is_there_twice_under_two_names_has_two_notes(model, context):
    context.training = shaken
    steps = {"prune_l1": PruneL1(0.3), "prune_l1_again": PruneL1(0.7, epochs=1)}
    made = apply_all(steps, model, context)
    assert context.notes["prune_l1"]["share_zero_before"] == 0
    assert context.notes["prune_l1_again"]["share_zero_before"] == pytest.approx(0.3, abs=1e-3)
    assert [facts["share_zero_after"] for facts in context.notes.values()] == [really_zero(made)] * 2


def test_weights_that_happen_to_be_zero_are_free_where_nothing_was_pruned(model, context):
    context.training = shaken
    with torch.no_grad():
        module, name = matrices(model)[0]
        getattr(module, name)[0] = 0.0
    after = context.recover(model, 1, 1.0)
    module, name = matrices(after)[0]
    assert getattr(module, name)[0].all()


def test_real_training_after_pruning_keeps_the_zeros_and_moves_the_rest(model, context):
    context.training = training_of(SPECS["encoder"])
    pruned = PruneL1(0.6).apply(model, context)
    before = {name: weight.clone() for name, weight in pruned.state_dict().items()}
    after = context.recover(pruned, 1, 1.0)
    assert share_of_zeros(matrices(after)) == pytest.approx(0.6, abs=1e-3)
    moved = [not torch.equal(weight, before[name]) for name, weight in after.state_dict().items() if weight.ndim == 2]
    assert sum(moved) >= len(moved) - 2  # all but tables of rows that no text reaches


AWARE = "quantization_aware"


NOT_ITS_INT8 = ("onnx", "onnx_int8_static", "openvino_int8", "out_of_scope", *WRITTEN)


@pytest.mark.parametrize(
    ("model", "names", "refused", "cure"),
    [
        ("encoder", (AWARE,), AWARE, (AWARE, "onnx_int8")),
        *[("encoder", (AWARE, other), AWARE, (AWARE, "onnx_int8")) for other in NOT_ITS_INT8],
        ("encoder", (AWARE, "prune_l1", "onnx_int8"), AWARE, ("prune_l1", AWARE, "onnx_int8")),
        ("encoder", ("prune_width", AWARE, "prune_heads"), AWARE, ("prune_width", "prune_heads", AWARE, "onnx_int8")),
        ("lstm", (AWARE, "onnx_int8", "onnx_int8_per_tensor"), "onnx_int8_per_tensor", (AWARE, "onnx_int8")),
        ("lstm", ("openvino", "onnx_int8_static"), "onnx_int8_static", ("onnx_int8",)),
        ("tfidf", ("onnx", "prune_l1"), "prune_l1", ("onnx",)),
    ],
    ids=str,
)
def test_the_cure_for_a_chain_that_does_not_go_together_passes(model, names, refused, cure):
    spec = {**SPECS, "tfidf": Tfidf()}[model]
    told = rf"^compression\.{refused}: .*compression=\[{','.join(cure)}\]"
    with pytest.raises(UserError, match=told):
        check_all({name: STEPS[name] for name in names}, spec.kind, spec)
    check_all({name: STEPS[name] for name in cure}, spec.kind, spec)


@pytest.mark.parametrize(("aware", "int8"), [(False, True), (True, False)])
def test_quantization_aware_training_is_refused_before_int8_of_another_granularity(aware, int8):
    steps = {AWARE: QuantizationAware(aware), "onnx_int8": OnnxInt8(int8)}
    with pytest.raises(UserError, match=f"Use compression.quantization_aware.per_channel={str(int8).lower()}"):
        check_all(steps, EncoderClassifier)
    check_all({AWARE: QuantizationAware(int8), "onnx": OnnxExport(), "onnx_int8": OnnxInt8(int8)}, EncoderClassifier)


@pytest.mark.parametrize(
    "pair",
    [
        pair
        for pair in permutations(STEPS, 2)
        if pair[0] in (*EXPORTS, *WRITTEN) or (pair[0] == AWARE and pair[1] != "onnx_int8")
    ],
    ids="-".join,
)
def test_nothing_follows_a_quantized_or_exported_model_but_int8_after_a_float_graph(pair):
    steps = {name: STEPS[name] for name in pair}
    if pair[0] == "onnx" and pair[1].startswith("onnx_int8"):
        check_all(steps, EncoderClassifier)
    else:
        said = (
            rf"^compression\.({pair[1]}|{AWARE}|onnx_int8)\b.*(Put {pair[1]} |Leave |Quantize once: |Use compression)"
        )
        with pytest.raises(UserError, match=said):
            check_all(steps, EncoderClassifier)


def test_a_recovery_that_is_skipped_since_the_fit_had_no_epochs_says_so(model, context):
    spec = FitSpec(SPECS["encoder"], None, None, Trainer(max_epochs=0))
    context.training = Recovery(spec, None, True, lambda rows: None)
    apply_all({"prune_l1": PruneL1(0.5, epochs=3)}, model, context)
    (said,) = context.notes["training"].values()
    assert said["step"] == "prune_l1"
    assert said["epochs"] == []
    assert "max_epochs=0" in said["skipped"]
    json.dumps(context.notes)
