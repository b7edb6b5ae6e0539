"""The part that all classifiers made of torch modules share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kd_lab.errors import UserError
from kd_lab.types import Batch, Outputs

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class TorchClassifier(nn.Module):
    """A classifier whose weights are torch parameters.

    `config` is all that is needed to build it again without its weights; `head` are the prefixes of parameters
    that start from random and take the head's learning rate; `returns` the fields of `Outputs` it fills.
    """

    head: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = config
        self.returns: frozenset[str] = frozenset({"logits"})

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) as float32, and hidden states (B, T, H) when `returns` asks for them."""
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The model with random weights."""
        return cls(config)

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors."""
        (folder / CONFIG).write_text(json.dumps(self.config, indent=1), encoding="utf-8")
        save_file(
            {name: tensor.detach().contiguous().cpu() for name, tensor in self.state_dict().items()}, folder / WEIGHTS
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; the model is in evaluation mode."""
        model = cls.from_config(read_config(folder))
        model.load_state_dict(load_file(folder / WEIGHTS))
        return model.eval()

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights."""
        weights = list(self.parameters())
        return sum(weight.numel() for weight in weights), sum(int(weight.count_nonzero()) for weight in weights)


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a saved model.

    Raises:
        UserError: it is not there or not JSON.
    """
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            str(folder / CONFIG), expected="a model's config", got=str(error), cure="Name the folder of a saved model."
        ) from error
    return config


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis that gives padding no weight.

    Args:
        scores: (B, T) float.
        mask: (B, T), 0 for padding.

    Returns:
        (B, T) weights that sum to 1 over each row's tokens.
    """
    return scores.masked_fill(mask == 0, float("-inf")).softmax(dim=-1)
