"""Cuts a tokenised split into batches of rows of like length."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from kd_lab.core.types import Batch
from kd_lab.data.balanced_rows import balanced_rows
from kd_lab.data.tokenized import TokenSplit

_WINDOW = 50  # batches whose rows are sorted by length together: little padding, order still random


class BatchLoader:
    """An iterable of batches, each padded to its own longest row.

    Args:
        split: the rows.
        size: rows in a batch; the last of a window may have fewer.
        pad_id: the piece that pads.
        seed: shuffles, anew in each pass; None keeps rows sorted by length, every pass alike.
        rows: ids of the rows that are gone through; None takes all.
        balanced: whether each pass draws as many rows from these, of every class as many; see `balanced_rows`. Only
            with a seed.
    """

    def __init__(
        self,
        split: TokenSplit,
        size: int,
        pad_id: int,
        seed: int | None = None,
        rows: np.ndarray | None = None,
        balanced: bool = False,
    ) -> None:
        self.split, self.size, self.pad_id, self.seed, self.balanced = split, size, pad_id, seed, balanced
        self.rows = np.arange(len(split)) if rows is None else rows
        self.epoch = 0
        self._lengths = split.lengths

    def __len__(self) -> int:
        """Batches in a pass."""
        return -(-len(self.rows) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        rows = self._order()
        cuts = [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
        if self.seed is not None:
            random = np.random.default_rng([self.seed, self.epoch, 1])
            cuts = [cuts[index] for index in random.permutation(len(cuts))]
            self.epoch += 1
        for cut in cuts:
            yield self.batch(cut)

    def _order(self) -> np.ndarray:
        if self.seed is None:
            return self.rows[np.argsort(self._lengths[self.rows], kind="stable")]
        rows = self.rows
        if self.balanced:
            draw = np.random.default_rng([self.seed, self.epoch, 2])
            rows = rows[balanced_rows(np.asarray(self.split.labels)[rows], draw)]
        rows = rows[np.random.default_rng([self.seed, self.epoch]).permutation(len(rows))]
        window = self.size * _WINDOW
        windows = [rows[start : start + window] for start in range(0, len(rows), window)]
        return np.concatenate([part[np.argsort(self._lengths[part], kind="stable")] for part in windows])

    def batch(self, rows: np.ndarray) -> Batch:
        """The rows with these ids, in this order."""
        lengths = self._lengths[rows]
        places = np.arange(lengths.max())
        real = places < lengths[:, None]  # (B, T)
        flat = np.where(real, self.split.offsets[rows][:, None] + places, 0)

        def padded(values: np.ndarray, filler: int) -> torch.Tensor:
            return torch.from_numpy(np.where(real, values[flat], filler).astype(np.int64))

        segments = self.split.token_type_ids
        return Batch(
            row_ids=torch.from_numpy(np.asarray(rows, dtype=np.int64)),
            input_ids=padded(self.split.token_ids, self.pad_id),
            attention_mask=torch.from_numpy(real.astype(np.int64)),
            labels=torch.from_numpy(self.split.gold(np.asarray(rows))),
            token_type_ids=None if segments is None else padded(segments, 0),
        )
