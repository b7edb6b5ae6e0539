"""AdamW with a rate for the encoder and one for the head, linear warm-up, and a schedule by which the rates fall.

By hand: `transformers.get_scheduler` starts its warm-up at a rate of 0, so that the first update, all of a fit of one
step, teaches nothing. From the end of warm-up on a test holds every schedule against its.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import LearningRate, Share, ShareBelowOne, Weight

Schedule = Literal["linear", "cosine", "constant"]  # as `transformers.get_scheduler` calls them


@dataclass(frozen=True)
class AdamW:
    """AdamW (arXiv:1711.05101, algorithm 2) in torch's fused form.

    Args:
        encoder_lr: peak learning rate of pre-trained weights.
        head_lr: peak learning rate of weights that start from random.
        weight_decay: of matrices; biases and normalisation weights are not decayed.
        warmup: share of all steps in which the rate grows from 0 in a straight line.
        betas: decay of the two moments.
        schedule: how the rate goes on from its peak: to 0 in a straight line or in half a cosine, or not at all.
    """

    encoder_lr: LearningRate = 1e-4
    head_lr: LearningRate = 3e-3
    weight_decay: Weight = 0.01
    warmup: Share = 0.1
    betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.999)
    schedule: Schedule = "linear"

    def __post_init__(self) -> None:
        check_fields(self, "optimizer")

    def scaled(self, share: float) -> AdamW:
        """The same with peak learning rates multiplied by `share`."""
        return replace(self, encoder_lr=share * self.encoder_lr, head_lr=share * self.head_lr)

    def build(self, model: nn.Module, head: Iterable[str]) -> torch.optim.Optimizer:
        """The optimizer over the model's parameters; those whose name starts with a prefix in `head` take `head_lr`."""
        prefixes = tuple(head)
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                groups.setdefault((name.startswith(prefixes), weight.ndim > 1), []).append(weight)
        return torch.optim.AdamW(
            [
                {
                    "params": weights,
                    "lr": self.head_lr if in_head else self.encoder_lr,
                    "weight_decay": self.weight_decay if decayed else 0.0,
                }
                for (in_head, decayed), weights in groups.items()
            ],
            betas=self.betas,
            fused=True,
        )

    def factor(self, step: int, steps: int) -> float:
        """Share of the peak rate at `step` of `steps`, both counted in updates, the first being step 0."""
        warm = self.warmup * steps
        if step < warm:
            return (step + 1) / (warm + 1)
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1.0, steps - warm)))
        return max(0.0, (steps - step) / max(1.0, steps - warm))


def clip(optimizer: torch.optim.Optimizer, largest: float) -> None:
    """Has the optimizer's next step take the gradient with its norm cut down to `largest`.

    A fused optimizer divides the gradient on its way through: a pass over all weights less than scaling it first.

    Args:
        optimizer: as `AdamW.build` makes it; all its gradients are there.
        largest: norm over all weights together.
    """
    gradients = [
        weight.grad for group in optimizer.param_groups for weight in group["params"] if weight.grad is not None
    ]
    norm = torch.nn.utils.get_total_norm(gradients)
    optimizer.grad_scale = ((norm + 1e-6) / largest).clamp(min=1.0)  # type: ignore[attr-defined]
