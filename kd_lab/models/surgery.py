"""A classifier built anew in another shape, with given weights."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from kd_lab.models.base import TorchClassifier

Model = TypeVar("Model", bound=TorchClassifier)


def reshape(model: Model, config: dict[str, Any], weights: Mapping[str, Tensor]) -> Model:
    """A classifier of the same class, in evaluation mode on the CPU; `model` stays as it was.

    Built from its config and not cut out of `model`: what is used now is what `load` will build.

    Args:
        config: of the new classifier.
        weights: name -> weight, every one that a classifier of this config has. They are copied.
    """
    with torch.random.fork_rng(devices=[]):  # its random weights, which are not used, shall draw no numbers
        new = type(model)(config)
    new.load_state_dict(dict(weights))
    new.returns = model.returns
    return new.eval()


def keep_outputs(weights: MutableMapping[str, Tensor], linear: str, kept: Tensor) -> None:
    """Of the linear layer called `linear`, leaves only these outputs.

    Args:
        weights: name -> weight; changed in place, the tensors are not.
        kept: int64 numbers of the outputs that stay, in their new order.
    """
    for kind in ("weight", "bias"):
        weights[f"{linear}.{kind}"] = weights[f"{linear}.{kind}"][kept]


def keep_inputs(weights: MutableMapping[str, Tensor], linear: str, kept: Tensor) -> None:
    """Of the linear layer called `linear`, leaves only these inputs; arguments as in `keep_outputs`."""
    weights[f"{linear}.weight"] = weights[f"{linear}.weight"][:, kept]
