"""Tokenised rows as the peers' Trainer reads them: tensors in memory, padded there or in the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_lab.data.tokenized import TokenSplit

Row = dict[str, Any]


class Rows(torch.utils.data.Dataset[Row]):
    """Tokenised rows as a Trainer's data set, kept in memory.

    Args:
        length: pads each row to so many word pieces; None leaves them as they are.
    """

    def __init__(self, split: TokenSplit, pad_id: int, length: int | None) -> None:
        cuts = zip(split.offsets[:-1], split.offsets[1:], strict=True)
        pieces = [torch.from_numpy(np.asarray(split.token_ids[start:end], np.int64)) for start, end in cuts]
        self.rows: list[Row] = []
        for own, label in zip(pieces, split.labels.tolist(), strict=True):
            filler = max(0, (length or 0) - len(own))
            ids, real = own, torch.ones_like(own)
            if filler:
                ids, real = (
                    nn.functional.pad(one, (0, filler), value=value) for one, value in ((own, pad_id), (real, 0))
                )
            self.rows.append({"input_ids": ids, "attention_mask": real, "labels": label})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Row:
        return self.rows[row]


def collate(pad_id: int) -> Callable[[Sequence[Row]], Row]:
    """Makes a batch of rows, padded to its longest."""

    def joined(rows: Sequence[Row]) -> Row:
        def padded(name: str, filler: int) -> Tensor:
            return nn.utils.rnn.pad_sequence([row[name] for row in rows], batch_first=True, padding_value=filler)

        return {
            "input_ids": padded("input_ids", pad_id),
            "attention_mask": padded("attention_mask", 0),
            "labels": torch.tensor([row["labels"] for row in rows]),
        }

    return joined
