"""What an encoder says of tokens is what Hugging Face's own code computes; nobody listens when nothing is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints as tiny
import torch

from kd_lab.core.cache import Cache
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.models.architectures import LAYOUTS
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.models.token_outputs import shape_of

EVERYTHING = frozenset(Outputs._fields) - {"answered"}
OF_ANY = frozenset({"logits", "hidden", "all_hidden"})
PROJECTED = OF_ANY | {"queries", "keys", "values"}
FAMILIES = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra", "ernie", "distilbert"), EVERYTHING),
    "mpnet": PROJECTED,  # its scores are not of queries and keys alone
    "albert": OF_ANY,
    "deberta": OF_ANY,
    "modernbert": OF_ANY,
}
LAYERS, HEADS, WIDTH, TOKENS = 3, 2, 32, 6


def batch() -> Batch:
    pieces = torch.randint(4, 20, (3, TOKENS), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 5 + [0]])
    return Batch(torch.arange(3), pieces * mask, mask, torch.tensor([0, 1, 2]))


def context(cache: Cache) -> BuildContext:
    return BuildContext(3, 60, 0, "tokens", list, cache)


def said(model: EncoderClassifier, returns: frozenset[str]) -> Outputs:
    model.returns = returns
    with torch.no_grad():
        return model(batch())


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_gives_what_its_shape_says_in_the_shapes_of_the_legend(
    family: str, tmp_path: Path, own_cache: Cache
) -> None:
    tiny.write(tmp_path / family, family)
    spec = CheckpointEncoder(str(tmp_path / family))
    assert spec.shape == ModelShape(FAMILIES[family], WIDTH, LAYERS, HEADS)
    model = spec.build(context(own_cache)).eval()
    shapes = {
        "logits": (3, 3),
        "hidden": (3, TOKENS, WIDTH),
        "all_hidden": (3, LAYERS + 1, TOKENS, WIDTH),
        "attention": (3, HEADS, TOKENS, TOKENS),
        "all_attention": (3, LAYERS, HEADS, TOKENS, TOKENS),
        **dict.fromkeys(("queries", "keys", "values"), (3, HEADS, TOKENS, WIDTH // HEADS)),
    }
    outputs = said(model, EVERYTHING)
    found = {name: tuple(one.shape) for name, one in outputs._asdict().items() if one is not None}
    assert found == {name: shape for name, shape in shapes.items() if name in FAMILIES[family]}
    torch.testing.assert_close(outputs.logits, said(model, frozenset({"logits"})).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "distilbert", "electra"])
def test_states_and_attention_are_those_of_transformers_own_code(family: str, tmp_path: Path, own_cache: Cache) -> None:
    theirs = tiny.write(tmp_path / family, family)
    theirs.set_attn_implementation("eager")
    given = batch()
    with torch.no_grad():
        expected = theirs(
            input_ids=given.input_ids,
            attention_mask=given.attention_mask,
            output_hidden_states=True,
            output_attentions=True,
        )
    ours = said(CheckpointEncoder(str(tmp_path / family)).build(context(own_cache)).eval(), EVERYTHING)
    real = given.attention_mask.bool()
    for layer in range(LAYERS + 1):
        torch.testing.assert_close(ours.all_hidden[:, layer][real], expected.hidden_states[layer][real])
    torch.testing.assert_close(ours.hidden[real], expected.hidden_states[-1][real])
    for layer in range(LAYERS):
        weights = ours.all_attention[:, layer].masked_fill(~real[:, None, None], -torch.inf).softmax(-1)
        torch.testing.assert_close(
            weights.transpose(1, 2)[real], expected.attentions[layer].transpose(1, 2)[real], rtol=1e-4, atol=1e-5
        )
    torch.testing.assert_close(ours.attention, ours.all_attention[:, -1])
    torch.testing.assert_close(ours.attention, ours.queries @ ours.keys.mT / (WIDTH // HEADS) ** 0.5)
    if family in LAYOUTS:
        names = LAYOUTS[family]
        layer = theirs.get_submodule(names.layers)[-1]
        whole = layer.get_submodule(names.value)(expected.hidden_states[-2]).detach()
        torch.testing.assert_close(ours.values[:, 1][real], whole[..., 16:][real])


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_only_the_layers_that_are_asked_are_listened_to_and_only_meanwhile(
    family: str, own_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under autocast a layer that is listened to would leave the fused path."""
    model = Encoder("e", family, LAYERS, WIDTH, HEADS, 48, init="random").build(context(own_cache))
    layers = model.net.base_model.get_submodule(LAYOUTS[family].layers)
    fused: list[int] = []
    from kd_lab.models.fused import bf16_layer

    forward = bf16_layer._forward
    monkeypatch.setattr(
        bf16_layer,
        "_forward",
        lambda layer, *given: (fused.append(list(layers).index(layer)), forward(layer, *given))[1],
    )

    def through(*asked: str) -> list[int]:
        fused.clear()
        with torch.autocast("cpu", torch.bfloat16):
            said(model, frozenset({"logits", *asked}))
        linear = [
            part for part in model.modules() if isinstance(part, torch.nn.Linear)
        ]  # layers have transformers' own
        assert not any(part._forward_hooks for part in linear)
        return list(fused)

    assert through() == [0, 1, 2]
    assert through("hidden", "all_hidden") == [0, 1, 2]
    assert through("attention", "values") == [0, 1]
    assert through("all_attention") == []
    assert through() == [0, 1, 2]


def test_gradients_flow_through_what_is_heard(own_cache: Cache) -> None:
    model = Encoder("e", "bert", LAYERS, WIDTH, HEADS, 48, init="random").build(context(own_cache))
    model.returns = EVERYTHING
    for field in sorted(EVERYTHING - {"logits"}):
        model.zero_grad()
        getattr(model(batch()), field).square().sum().backward()
        assert model.net.get_input_embeddings().weight.grad.abs().sum() > 0, field


def test_pruned_heads_keep_their_size_and_the_shape_says_how_many_there_are() -> None:
    config = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    assert shape_of(config).heads == 4
    assert shape_of({**config, "kd_lab": {"heads": 3}}).heads == 3


def test_a_student_of_fewer_layers_and_an_lstm_say_so(tmp_path: Path) -> None:
    tiny.write(tmp_path / "e", "bert")
    assert CheckpointEncoder(str(tmp_path / "e"), layers=2).shape.layers == 2
    assert CheckpointEncoder(str(tmp_path / "e"), keep_layers=(1,)).shape.layers == 1
    assert LstmAttention(hidden=8).shape == ModelShape(frozenset({"logits", "hidden"}), 8)
