"""Tokenised rows as the peers' Trainer reads them: tensors in memory, padded there or in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_lab.data.tokenized import TokenSplit

Row = dict[str, Any]


def padded(split: TokenSplit, pad_id: int, length: int | None) -> list[Row]:
    """Tokenised rows as a Trainer's data set, kept in memory.

    Args:
        length: pads each row to so many word pieces; None leaves them as they are.
    """
    rows: list[Row] = []
    for start, end, label in zip(split.offsets[:-1], split.offsets[1:], split.labels.tolist(), strict=True):
        own = torch.from_numpy(np.asarray(split.token_ids[start:end], np.int64))
        pad = (0, max(0, (length or 0) - len(own)))
        ids, real = nn.functional.pad(own, pad, value=pad_id), nn.functional.pad(torch.ones_like(own), pad)
        rows.append({"input_ids": ids, "attention_mask": real, "labels": label})
    return rows


def collate(pad_id: int) -> Callable[[Sequence[Row]], Row]:
    """Makes a batch of rows, padded to its longest."""

    def joined(rows: Sequence[Row]) -> Row:
        def column(name: str, filler: int) -> Tensor:
            return nn.utils.rnn.pad_sequence([row[name] for row in rows], batch_first=True, padding_value=filler)

        return {
            "input_ids": column("input_ids", pad_id),
            "attention_mask": column("attention_mask", 0),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    return joined
