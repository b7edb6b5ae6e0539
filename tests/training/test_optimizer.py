"""Rates, their schedule by hand, and which weights decay."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn
from transformers import get_scheduler

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.models.encoder import Encoder
from kd_lab.models.spec import BuildContext
from kd_lab.training.optimizer import AdamW


def model() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"encoder": nn.Linear(4, 3), "norm": nn.LayerNorm(3), "classifier": nn.Linear(3, 2)})


def groups(optimizer: torch.optim.Optimizer, source: nn.Module) -> dict[str, dict[str, Any]]:
    names = {id(weight): name for name, weight in source.named_parameters()}
    return {names[id(weight)]: group for group in optimizer.param_groups for weight in group["params"]}


def test_the_schedule_is_that_worked_out_by_hand() -> None:
    factor = AdamW(warmup=0.2).factor  # 10 steps: 2 of warm-up towards 1, then 8 down to 0
    hand = [1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0]
    assert [factor(step, 10) for step in range(11)] == pytest.approx(hand)


def test_without_warm_up_the_rate_starts_at_its_peak() -> None:
    assert [AdamW(warmup=0.0).factor(step, 4) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]


@pytest.mark.parametrize("name", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warm", [0, 2, 5])
def test_each_schedule_is_that_of_transformers(name: str, warm: int) -> None:
    """Step by step; but during warm-up one step ahead, since theirs begins at 0."""
    steps = 10
    factor = AdamW(warmup=warm / steps, schedule=name).factor  # type: ignore[arg-type]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = [  # with what warms up one step longer, and with the warm-up asked for
        get_scheduler(name if name != "constant" else "constant_with_warmup", optimizer, ours, steps).lr_lambdas[0]
        for ours in (warm + 1, warm)
    ]
    assert [factor(step, steps) for step in range(warm)] == [theirs[0](step + 1) for step in range(warm)]
    after = range(warm, steps + 1)
    assert [factor(step, steps) for step in after] == pytest.approx([theirs[1](step) for step in after], abs=1e-15)


@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 15, 100])
def test_every_step_learns_and_the_rate_rises_then_falls(warmup: float, steps: int) -> None:
    rates = [AdamW(warmup=warmup).factor(step, steps) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def test_the_head_takes_its_own_rate_and_only_matrices_decay() -> None:
    source = model()
    found = groups(AdamW(encoder_lr=1e-5, head_lr=2e-3, weight_decay=0.3).build(source, ["classifier"]), source)
    said = {name: (group["lr"], group["weight_decay"]) for name, group in found.items()}
    assert said == {
        "encoder.weight": (1e-5, 0.3),
        "encoder.bias": (1e-5, 0.0),
        "norm.weight": (1e-5, 0.0),
        "norm.bias": (1e-5, 0.0),
        "classifier.weight": (2e-3, 0.3),
        "classifier.bias": (2e-3, 0.0),
    }


def test_frozen_weights_are_left_out() -> None:
    source = model()
    source["encoder"].requires_grad_(False)
    assert set(groups(AdamW().build(source, []), source)) == {
        "norm.weight",
        "norm.bias",
        "classifier.weight",
        "classifier.bias",
    }


def test_an_encoders_head_and_pooler_are_what_starts_from_random(own_cache: Cache) -> None:
    spec = Encoder("tiny", "bert", layers=1, width=8, heads=2, feed_forward=8, init="random")
    built = spec.build(BuildContext(2, 20, 0, "tokens", list, own_cache))
    found = groups(AdamW(encoder_lr=1.0, head_lr=2.0).build(built, built.head), built)
    fast = {name for name, group in found.items() if group["lr"] == 2.0}
    assert fast == {f"net.{part}.{kind}" for part in ("classifier", "bert.pooler.dense") for kind in ("weight", "bias")}


def test_one_step_is_algorithm_2_of_the_paper() -> None:
    weight = nn.Parameter(torch.tensor([[2.0, -1.0]]))
    holder = nn.ParameterDict({"w": weight})
    optimizer = AdamW(encoder_lr=0.1, head_lr=9.0, weight_decay=0.5, betas=(0.8, 0.9)).build(holder, ["other"])
    for gradient in ([1.0, -4.0], [3.0, 0.5]):
        weight.grad = torch.tensor([gradient])
        optimizer.step()
    by_hand = []
    for start, gradients in ((2.0, (1.0, 3.0)), (-1.0, (-4.0, 0.5))):
        x, m, v = start, 0.0, 0.0
        for t, g in enumerate(gradients, start=1):
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
            x -= 0.1 * ((m / (1 - 0.8**t)) / (math.sqrt(v / (1 - 0.9**t)) + 1e-8) + 0.5 * x)
        by_hand.append(x)
    assert weight.tolist()[0] == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("encoder_lr", -1e-5),
        ("head_lr", float("nan")),
        ("warmup", 1.5),
        ("weight_decay", "0.1"),
        ("head_lr", True),
        ("schedule", "cosin"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(UserError) as caught:
        AdamW(**{option: value})
    assert caught.value.where == f"optimizer.{option}"
