"""The last layer for the first token alone gives the same logits and gradients as Hugging Face's own for all."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers

from kd_lab.core.types import Batch
from kd_lab.models.encoder import EncoderClassifier

BERT = {
    "model_type": "bert",
    "vocab_size": 50,
    "num_hidden_layers": 2,
    "hidden_size": 24,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "num_labels": 3,
    "pad_token_id": 0,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DISTILBERT = {
    "model_type": "distilbert",
    "vocab_size": 50,
    "n_layers": 2,
    "dim": 24,
    "n_heads": 4,
    "hidden_dim": 40,
    "num_labels": 3,
    "pad_token_id": 0,
    "dropout": 0.0,
    "attention_dropout": 0.0,
    "seq_classif_dropout": 0.0,
}
each_family = pytest.mark.parametrize("config", [BERT, {**BERT, "model_type": "roberta"}, DISTILBERT])


def pair(config: dict[str, Any]) -> tuple[EncoderClassifier, Any]:
    """Ours, and Hugging Face's own code with the same weights."""
    ours = EncoderClassifier(config)
    theirs = transformers.AutoModelForSequenceClassification.from_config(transformers.AutoConfig.for_model(**config))
    theirs.load_state_dict(ours.net.state_dict())
    return ours.train(), theirs.train()


def batch(padded: bool) -> Batch:
    ids = torch.randint(1, 50, (3, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    if padded:
        mask[1:, 4:] = 0
    return Batch(torch.arange(3), ids * mask, mask, torch.tensor([0, 1, 2]))


@each_family
@pytest.mark.parametrize("padded", [False, True])
def test_logits_and_gradients_are_those_of_all_tokens(config: dict[str, Any], padded: bool) -> None:
    ours, theirs = pair(config)
    asked = batch(padded)
    one = ours(asked).logits
    two = theirs(input_ids=asked.input_ids, attention_mask=asked.attention_mask).logits
    torch.testing.assert_close(one, two, rtol=0, atol=1e-6)
    for logits in (one, two):
        torch.nn.functional.cross_entropy(logits, asked.labels).backward()
    for (name, mine), other in zip(ours.net.named_parameters(), theirs.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(mine.grad, other.grad, rtol=0, atol=1e-6, msg=name)


@each_family
def test_feed_forward_and_queries_of_the_last_layer_see_one_token(config: dict[str, Any]) -> None:
    ours, _ = pair(config)
    seen: dict[str, int] = {}
    for name, module in ours.net.named_modules():
        if isinstance(module, torch.nn.Linear) and ".layer." in name:
            module.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0].shape[1]}))
    ours(batch(padded=True))
    last = {name: tokens for name, tokens in seen.items() if ".layer.1." in name}
    alone = {name for name, tokens in last.items() if tokens == 1}
    assert {tokens for name, tokens in seen.items() if ".layer.0." in name} == {7}
    assert {name.rpartition(".")[2] for name in set(last) - alone} in ({"key", "value"}, {"k_lin", "v_lin"})
    assert len(alone) == 4


@each_family
def test_all_tokens_come_back_when_hidden_states_are_asked_for(config: dict[str, Any]) -> None:
    ours, theirs = pair(config)
    asked = batch(padded=False)
    ours.returns = frozenset({"logits", "hidden"})
    attended = ours(asked)
    their = theirs(input_ids=asked.input_ids, attention_mask=asked.attention_mask, output_hidden_states=True)
    assert attended.hidden is not None
    torch.testing.assert_close(attended.hidden, their.hidden_states[-1], rtol=0, atol=1e-6)
    ours.returns = frozenset({"logits"})
    torch.testing.assert_close(ours(asked).logits, attended.logits, rtol=0, atol=1e-6)


@each_family
def test_a_copy_reads_its_own_weights(config: dict[str, Any]) -> None:
    ours, _ = pair(config)
    other = copy.deepcopy(ours)
    before = ours(batch(padded=False)).logits
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(0.5)
    assert torch.equal(ours(batch(padded=False)).logits, before)
    assert not torch.allclose(other(batch(padded=False)).logits, before)


def test_a_family_that_is_not_known_keeps_its_layer() -> None:
    ours = EncoderClassifier({**BERT, "model_type": "electra", "embedding_size": 24})
    assert ours(batch(padded=True)).logits.shape == (3, 3)
