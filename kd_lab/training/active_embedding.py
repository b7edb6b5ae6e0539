"""Trains the rows of a word embedding that its data can reach, and carries the others along in one number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from kd_lab.data.piece_counts import occurrences
from kd_lab.models.base import TorchClassifier
from kd_lab.models.word_embedding import has_word_embedding, put_word_embedding, word_embedding


class ActiveEmbedding(nn.Embedding):
    """An embedding of which only the rows that some id in the data asks for are parameters.

    No gradient ever reaches the others. AdamW does one thing to them: it shrinks them by 1 - rate * weight_decay in
    each update, all alike. `shrunk`, the product, is all that has to be kept: with BERT's vocabulary and a small data
    set more than half of a small student's weights, and of the optimizer's work, fall away.

    Args:
        whole: the embedding.
        reached: ids in the data, ascending, that of padding among them.
    """

    def __init__(self, whole: nn.Embedding, reached: NDArray[np.int64]) -> None:
        rows = torch.from_numpy(reached)
        place = torch.zeros(whole.num_embeddings, dtype=torch.int64)
        place[rows] = torch.arange(len(rows))
        pads = None if whole.padding_idx is None else int(place[whole.padding_idx])
        table = whole.weight.detach()
        super().__init__(len(rows), whole.embedding_dim, pads, _weight=table[rows].clone())
        self.rows, self.table, self.pads, self.shrunk = rows, table, whole.padding_idx, 1.0
        self.place: Tensor
        self.register_buffer("place", place, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Ids (B, T) of the whole vocabulary -> (B, T, H)."""
        return F.embedding(self.place[input], self.weight, self.padding_idx)

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """From now on does to the rows that are not reached what the optimizer would."""
        (group,) = (group for group in optimizer.param_groups if any(one is self.weight for one in group["params"]))

        def shrink(*_: Any) -> None:
            found_inf = getattr(optimizer, "found_inf", None)  # a scaler's: then the optimizer changes nothing
            if found_inf is not None and found_inf:
                return
            self.shrunk *= 1 - group["lr"] * group["weight_decay"]

        optimizer.register_step_post_hook(shrink)

    def whole(self) -> nn.Embedding:
        """The embedding with all its rows, as if all of them had been parameters."""
        table = self.table * self.shrunk
        table[self.rows] = self.weight.detach().cpu()
        return nn.Embedding.from_pretrained(table, freeze=False, padding_idx=self.pads)  # type: ignore[no-any-return, no-untyped-call]

    def get_extra_state(self) -> float:
        """What a checkpoint must keep beside the rows."""
        return self.shrunk

    def set_extra_state(self, state: float) -> None:
        """Takes over what a checkpoint kept."""
        self.shrunk = state


@contextmanager
def only_active_rows(model: TorchClassifier, pieces: list[NDArray[np.integer[Any]]], pad_id: int) -> Iterator[None]:
    """Meanwhile only the rows of the word embedding that the pieces ask for are parameters of the model.

    Args:
        model: changed in place, and whole again at the end; one whose embedding is not known stays as it is.
        pieces: the ids of all texts that it will read.
        pad_id: the piece that pads.
    """
    if not has_word_embedding(model):
        yield
        return
    whole = word_embedding(model)
    counts = np.zeros(whole.num_embeddings, np.int64)
    for part in pieces:
        counts += occurrences(part, len(counts))
    counts[pad_id] += 1
    if whole.padding_idx is not None:
        counts[whole.padding_idx] += 1
    narrow = ActiveEmbedding(whole, np.flatnonzero(counts))
    put_word_embedding(model, narrow)
    try:
        yield
    finally:
        put_word_embedding(model, narrow.whole().to(narrow.weight.device))
