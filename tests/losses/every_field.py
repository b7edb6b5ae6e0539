"""Outputs in which every field is filled, of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kd_lab.core.types import Batch, Outputs

ROWS, TOKENS, CLASSES, WIDTH, LAYERS, HEADS = 4, 3, 5, 6, 2, 3
TOKEN_AXES = {  # field -> where its tokens are
    "hidden": (1,),
    "attention": (2, 3),
    "queries": (2,),
    "keys": (2,),
    "values": (2,),
    "all_hidden": (2,),
    "all_attention": (3, 4),
}
MASK = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])  # of a batch, the tokens that are no padding


def said(
    seed: int,
    dtype: torch.dtype = torch.float64,
    *,
    rows: int = ROWS,
    tokens: int = TOKENS,
    classes: int = CLASSES,
    width: int = WIDTH,
    layers: int = LAYERS,
    heads: int = HEADS,
) -> Outputs:
    """All that a model may say of a batch."""
    numbers = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=numbers, dtype=torch.float64).to(dtype)

    projected = (rows, heads, tokens, width // heads)
    return Outputs(
        logits=some(rows, classes),
        hidden=some(rows, tokens, width),
        attention=some(rows, heads, tokens, tokens),
        queries=some(*projected),
        keys=some(*projected),
        values=some(*projected),
        all_hidden=some(rows, layers + 1, tokens, width),
        all_attention=some(rows, layers, heads, tokens, tokens),
    )


def batch(teacher: Outputs | None, labels: Sequence[int] = (0, 4, -1, 2)) -> Batch:
    """The rows of which a teacher says this."""
    return Batch(torch.arange(ROWS), MASK, MASK, torch.tensor(labels), teacher=teacher)


def fields(outputs: Outputs) -> dict[str, Tensor]:
    """Name -> what is there."""
    return {name: value for name, value in outputs._asdict().items() if value is not None}


def each(outputs: Outputs, change: Callable[[Tensor], Tensor]) -> Outputs:
    """The same with every field changed."""
    return Outputs(**{name: change(value) for name, value in fields(outputs).items()})
