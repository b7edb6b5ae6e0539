"""Encoders that Hugging Face's config cannot say are built from ours, and it never sees our entry."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from kd_lab.core.errors import UserError
from kd_lab.models.architectures import (
    HEADS,
    LAYOUTS,
    OURS,
    RANK,
    head_size,
    heads_in,
    layer_stem,
    layout_of,
    with_ours,
)
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.factorised_embedding import FactorisedEmbedding

each_family = pytest.mark.parametrize("family", LAYOUTS)


def config(family: str) -> dict[str, Any]:
    layout = LAYOUTS[family]
    shape = {layout.layer_count: 2, layout.width: 16, layout.heads: 4, layout.feed_forward: 10}
    positions = {"vocab_size": 30, "max_position_embeddings": 12, "pad_token_id": 0, "num_labels": 3}
    return {"model_type": family, **positions, **shape}


@each_family
def test_every_name_of_a_layout_is_a_part_of_the_family(family: str) -> None:
    layout, model = LAYOUTS[family], EncoderClassifier(config(family))
    layers = model.get_submodule(layer_stem(model.config, "test"))
    assert isinstance(layers, nn.ModuleList)
    assert len(layers) == 2
    shapes = dict.fromkeys((layout.query, layout.key, layout.value, layout.merge), (16, 16))
    shapes |= {layout.grow: (10, 16), layout.shrink: (16, 10)}
    for layer in layers:
        assert all(tuple(layer.get_submodule(name).weight.shape) == shape for name, shape in shapes.items())
        attention = layer.get_submodule(layout.attention)
        assert getattr(attention, layout.head_count) == 4
        assert getattr(attention, layout.head_units) == 16


@each_family
def test_heads_and_rank_are_counted_and_built(family: str) -> None:
    plain = config(family)
    small = with_ours(with_ours(plain, HEADS, 3), RANK, 5)
    assert plain == config(family)
    assert small[OURS] == {HEADS: 3, RANK: 5}
    assert (heads_in(plain), heads_in(small)) == (4, 3)
    assert head_size(plain) == head_size(small) == 4
    layout, model = LAYOUTS[family], EncoderClassifier(small).eval()
    for layer in model.get_submodule(layer_stem(small, "test")):
        assert layer.get_submodule(layout.query).weight.shape == (12, 16)
        assert layer.get_submodule(layout.merge).weight.shape == (16, 12)
        assert getattr(layer.get_submodule(layout.attention), layout.head_count) == 3
    table = model.net.get_input_embeddings()
    assert isinstance(table, FactorisedEmbedding)
    assert table(torch.tensor([[1, 2]])).shape == (1, 2, 16)
    assert table.pieces.padding_idx == 0
    assert not model.portable
    assert EncoderClassifier(plain).portable


@each_family
def test_attention_by_sdpa_and_by_steps_agree_with_fewer_heads(family: str) -> None:
    model = EncoderClassifier(with_ours(config(family), HEADS, 3)).eval()
    pieces = torch.randint(1, 30, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    said = []
    for way in ("sdpa", "eager"):
        model.net.set_attn_implementation(way)
        with torch.no_grad():
            said.append(model.net(input_ids=pieces * mask, attention_mask=mask).logits)
    torch.testing.assert_close(*said, atol=1e-5, rtol=0)


def test_hugging_face_never_sees_our_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    theirs = transformers.AutoConfig.for_model

    def listen(**given: Any) -> Any:
        seen.append(given)
        return theirs(**given)

    monkeypatch.setattr(transformers.AutoConfig, "for_model", listen)
    model = EncoderClassifier(with_ours(config("bert"), HEADS, 2))
    assert seen
    assert all(OURS not in given for given in seen)
    assert not hasattr(model.net.config, OURS)


def test_a_family_whose_parts_are_unknown_is_refused() -> None:
    with pytest.raises(UserError, match=r"^compression\.x: expected an encoder of one of .*distilbert, got albert"):
        layout_of("albert", "compression.x")
