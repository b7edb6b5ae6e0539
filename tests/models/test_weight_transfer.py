"""Weights keep their meaning when they are renamed for another family, and only the layers asked for are taken."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import Tensor

from kd_lab.models.weight_transfer import take_layers

LAYERS = 4


def bert() -> transformers.BertModel:
    torch.manual_seed(0)
    settings = transformers.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=12
    )
    model = transformers.BertModel(settings, add_pooling_layer=False)
    for weight in model.parameters():  # biases and normalisation start alike: a mix-up of two would go unseen
        torch.nn.init.normal_(weight, std=0.5)
    return model.eval()


def distilbert(layers: int = LAYERS) -> transformers.DistilBertModel:
    settings = transformers.DistilBertConfig(vocab_size=30, dim=8, n_layers=layers, n_heads=2, hidden_dim=12)
    return transformers.DistilBertModel(settings).eval()


def said(model: torch.nn.Module) -> tuple[Tensor, ...]:
    pieces = torch.randint(0, 30, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3, [1] * 5 + [0] * 2])
    with torch.no_grad():
        hidden = model(input_ids=pieces, attention_mask=mask, output_hidden_states=True).hidden_states
    return tuple(states * mask[:, :, None] for states in hidden)  # padding may say anything


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_distilbert_with_berts_weights_says_what_bert_says(prefix: str) -> None:
    source, target = bert(), distilbert()
    weights = {f"{prefix}{name}": weight for name, weight in source.state_dict().items()}
    target.load_state_dict(take_layers(weights, "distilbert", None))  # strict: every weight, and no other
    for ours, theirs in zip(said(target), said(source), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_bert_with_distilberts_weights_says_what_distilbert_says() -> None:
    source, target = distilbert(), bert()
    weights = take_layers({f"distilbert.{name}": weight for name, weight in source.state_dict().items()}, "bert", None)
    segments = target.embeddings.token_type_embeddings.weight
    missing, strange = target.load_state_dict(weights, strict=False)
    assert (missing, strange) == (["embeddings.token_type_embeddings.weight"], [])
    with torch.no_grad():
        segments.zero_()
    for ours, theirs in zip(said(target), said(source), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("keep", [(0, 2), (3,), (1, 2, 3), (3, 0)])
def test_layers_are_those_asked_for_in_that_order(keep: tuple[int, ...]) -> None:
    weights = bert().state_dict()
    taken = take_layers(weights, "bert", keep)
    others = {name for name in weights if "layer." not in name}
    assert {name for name in taken if "layer." not in name} == others
    within = [name.removeprefix("encoder.layer.0.") for name in weights if name.startswith("encoder.layer.0.")]
    assert len(within) == 16
    assert set(taken) - others == {f"encoder.layer.{place}.{name}" for place in range(len(keep)) for name in within}
    for place, layer in enumerate(keep):
        for name in within:
            assert torch.equal(taken[f"encoder.layer.{place}.{name}"], weights[f"encoder.layer.{layer}.{name}"])
    distilled = distilbert(len(keep))
    distilled.load_state_dict(take_layers(weights, "distilbert", keep))
    for place, layer in enumerate(keep):
        ours = distilled.transformer.layer[place].ffn.lin1.weight
        assert torch.equal(ours, weights[f"encoder.layer.{layer}.intermediate.dense.weight"])


def test_the_old_names_of_normalisation_weights_are_understood() -> None:
    """bert-base-uncased on the hub calls them gamma and beta; from_pretrained renames them, load_file does not."""
    weights = bert().state_dict()
    old = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): weight
        for name, weight in weights.items()
    }
    assert sum("gamma" in name for name in old) == 1 + 2 * LAYERS
    for architecture in ("bert", "distilbert"):
        expected = take_layers(weights, architecture, (1, 3))
        found = take_layers(old, architecture, (1, 3))
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], expected[name]) for name in found)


def test_what_it_is_given_stays_as_it_was() -> None:
    weights = bert().state_dict()
    before = {name: weight.clone() for name, weight in weights.items()}
    take_layers(weights, "distilbert", (0, 2))
    assert list(weights) == list(before)
    assert all(torch.equal(weights[name], before[name]) for name in before)


def test_another_family_keeps_its_names() -> None:
    weights = {"roberta.encoder.layer.0.output.dense.weight": torch.ones(1), "classifier.weight": torch.ones(1)}
    assert set(take_layers(weights, "roberta", None)) == {"encoder.layer.0.output.dense.weight", "classifier.weight"}
