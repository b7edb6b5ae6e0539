"""A layer in bf16 gives what autocast gives, as close to float32, and stands aside wherever autocast is not in bf16."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from test_cls_only import batch, each_family
from torch import Tensor, nn

from kd_lab.core.types import Batch
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.fused import bf16_layer

WIDE = {"hidden_size": 96, "intermediate_size": 160, "dim": 96, "hidden_dim": 160}  # rounding evens out


def model(config: dict[str, Any], **more: Any) -> EncoderClassifier:
    torch.manual_seed(0)
    return EncoderClassifier({**config, **{key: value for key, value in WIDE.items() if key in config}, **more})


def learned(net: nn.Module, asked: Batch, precision: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits, and gradients by name."""
    net = copy.deepcopy(net)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision):
        said = (
            net(asked).logits
            if isinstance(net, EncoderClassifier)
            else net(asked.input_ids, asked.attention_mask).logits
        )
    nn.functional.cross_entropy(said.float(), asked.labels).backward()
    grads = {
        name.removeprefix("net."): weight.grad for name, weight in net.named_parameters() if weight.grad is not None
    }
    return said.detach().float(), grads


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@each_family
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("returns", [{"logits"}, {"logits", "hidden"}])
def test_logits_and_gradients_are_as_close_to_float32_as_those_of_autocast(
    config: dict[str, Any], padded: bool, returns: set[str]
) -> None:
    ours, asked = model(config).train(), batch(padded)
    ours.returns = frozenset(returns)
    theirs = transformers.AutoModelForSequenceClassification.from_config(ours.net.config).train()
    theirs.load_state_dict(ours.net.state_dict())
    exact = learned(theirs, asked, precision=False)
    mine, autocast = learned(ours, asked, precision=True), learned(theirs, asked, precision=True)
    assert distance(mine[0], exact[0]) < max(0.02, 2 * distance(autocast[0], exact[0]))
    assert mine[1].keys() == exact[1].keys()
    joined = [torch.cat([grads[name].flatten() for name in exact[1]]) for _, grads in (mine, autocast, exact)]
    assert distance(joined[0], joined[2]) < max(0.02, 2 * distance(joined[1], joined[2]))


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """What goes into products in bf16."""
    seen: list[Tensor] = []

    def linear(states: Tensor, *weights: Tensor) -> Tensor:
        seen.append(states)
        return bf16_layer_linear(states, *weights)

    bf16_layer_linear = bf16_layer.linear
    monkeypatch.setattr(bf16_layer, "linear", linear)
    return seen


@each_family
def test_every_layer_runs_in_bf16_the_last_for_one_token(config: dict[str, Any], products: list[Tensor]) -> None:
    learned(model(config), batch(padded=True), precision=True)
    assert [states.shape[1] for states in products] == [7, 7, 7, 7, 1, 7, 1, 1, 1]
    assert {states.dtype for states in products} == {torch.bfloat16}


@each_family
def test_it_stands_aside(config: dict[str, Any], products: list[Tensor]) -> None:
    asked = batch(padded=True)
    learned(model(config), asked, precision=False)
    watched = model(config)
    watched.net.set_attn_implementation("eager")
    learned(watched, asked, precision=True)
    learned(model(config, hidden_act="relu", activation="relu"), asked, precision=True)
    listened = model(config)
    for module in listened.modules():
        if isinstance(module, nn.Linear) and module.in_features == 160:
            module.register_forward_pre_hook(lambda _, given: None)
    learned(listened, asked, precision=True)
    assert not products
    halved = model(config).to(torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        halved(asked)
    assert not products


@each_family
def test_dropout_is_drawn_in_training_and_from_the_seed(config: dict[str, Any]) -> None:
    rates = {name: 0.2 for name in config if "dropout" in name}
    ours, asked = model(config, **rates), batch(padded=False)
    said = []
    for seed, training in ((1, True), (1, True), (2, True), (1, False), (2, False)):
        torch.manual_seed(seed)
        said.append(learned(ours.train(training), asked, precision=True)[0])
    assert torch.equal(said[0], said[1])
    assert not torch.equal(said[0], said[2])
    assert torch.equal(said[3], said[4])
