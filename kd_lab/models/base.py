"""The part that all classifiers made of torch modules share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kd_lab.core.reading import read_json, reading
from kd_lab.core.types import Batch, Outputs
from kd_lab.models.weights_file import CURE, read_tensors, refuse_giants

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class TorchClassifier(nn.Module):
    """A classifier whose weights are torch parameters.

    `config` is all that is needed to build it again without its weights; `head` are the prefixes of parameters
    that start from random and take the head's learning rate; `returns` the fields of `Outputs` it fills.
    """

    head: tuple[str, ...] = ()

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.returns: frozenset[str] = frozenset({"logits"})

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) as float32, and the fields of `Outputs` that `returns` asks for and the class gives."""
        raise NotImplementedError

    @classmethod
    def refuse_config(cls, config: Mapping[str, Any], file: Path) -> None:
        """Refuses a config with entries that are none of the class's; `file` is where it was read."""

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors."""
        (folder / CONFIG).write_text(json.dumps(self.config, indent=1), encoding="utf-8")
        save_file(
            {name: tensor.detach().contiguous().cpu() for name, tensor in self.state_dict().items()}, folder / WEIGHTS
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; the model is in evaluation mode."""
        config = read_config(folder)
        refuse_giants(lambda: cls(config), config, folder / WEIGHTS)
        model = cls(config)
        take_weights(model, read_tensors(folder / WEIGHTS), folder)
        return model.eval()

    def keep_classes(self, order: Sequence[int]) -> None:
        """Puts the outputs in this order of classes, and drops those that it does not name.

        Args:
            order: for each class from now on, its number until now.
        """
        count = "classes" if "classes" in self.config else "num_labels"
        heads = [
            (name, part)
            for name, part in self.named_modules()
            if isinstance(part, nn.Linear)
            and part.out_features == self.config[count]
            and name.startswith(tuple(self.head))
        ]
        name, old = heads[-1]
        new = nn.Linear(old.in_features, len(order), bias=old.bias is not None)
        with torch.no_grad():
            new.weight.copy_(old.weight[list(order)])
            if old.bias is not None:
                new.bias.copy_(old.bias[list(order)])
        self.set_submodule(name, new)
        self.config[count] = len(order)

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights."""
        weights = list(self.parameters())
        return sum(weight.numel() for weight in weights), sum(int(weight.count_nonzero()) for weight in weights)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a saved model.

    Raises:
        UserError: it is not there or no object in JSON.
    """
    return read_json(folder / CONFIG, expected="a model's config", cure="Name the folder of a saved model.")


def take_weights(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Puts weights that were read in `folder` into the model that its config.json describes.

    Raises:
        UserError: they are of another model.
    """
    with reading(folder / WEIGHTS, expected="weights that are whole and belong to its config.json", cure=CURE):
        model.load_state_dict(tensors)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis that gives padding no weight.

    Args:
        scores: (B, T) float.
        mask: (B, T), 0 for padding.

    Returns:
        (B, T) weights that sum to 1 over each row's tokens.
    """
    return scores.masked_fill(mask == 0, float("-inf")).softmax(dim=-1)
