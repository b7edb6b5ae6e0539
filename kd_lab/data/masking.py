"""Which pieces of a row are to be guessed, and what stands in their place: drawn anew each time a row comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Share, ShareBetween
from kd_lab.data.packed_corpus import PackedCorpus, Part
from kd_lab.data.shuffled import shuffled


class MaskedBatch(NamedTuple):
    """Rows of a corpus with pieces to be guessed."""

    input_ids: Tensor  # (B, T) int64, masked
    places: Tensor  # (M,) int64, where something is to be guessed: places in B * T, ascending
    labels: Tensor  # (M,) int64, the pieces that stood there
    attention_mask: Tensor | None = None  # (B, T) int64, 1 for a token; None where no row is padded

    def to(self, device: str) -> MaskedBatch:
        """The same on a device."""
        return MaskedBatch._make(None if one is None else one.to(device) for one in self)


@dataclass(frozen=True)
class Masking:
    """BERT's (arXiv:1810.04805, section 3.1), but that rows are masked anew in each epoch (RoBERTa, arXiv:1907.11692).

    Args:
        share: of a row's pieces that are to be guessed; special pieces and padding never are.
        masked: share of these in whose place [MASK] stands.
        replaced: share of these in whose place any other piece stands; what is left stands as it is.
    """

    share: ShareBetween = 0.15
    masked: Share = 0.8
    replaced: Share = 0.1

    def __post_init__(self) -> None:
        if self.masked + self.replaced > 1:
            got = f"{self.masked:g} and {self.replaced:g}"
            cure = "Use e.g. masking.masked=0.8 masking.replaced=0.1."
            raise UserError(
                "masking.masked and masking.replaced", expected="two shares of one whole", got=got, cure=cure
            )


class MaskedRows:
    """The rows of a part of a corpus, in an order without end, each masked as (seed, epoch, row) decide and no more.

    So a row is masked alike whatever batch it is in, in whatever process.

    Args:
        seed: of the order and the masks.
    """

    def __init__(self, corpus: PackedCorpus, part: Part, masking: Masking, seed: int) -> None:
        self._rows, self._length = corpus.rows(part), corpus.lengths[part]
        self._masking, self._seed, self._mask_id = masking, seed, corpus.mask_id
        self._special = np.zeros(corpus.vocab_size, bool)
        self._special[list(corpus.special)] = True
        self._ordinary = np.flatnonzero(~self._special)
        room = self._length - corpus.frame
        self._wanted = max(1, round(masking.share * room))  # in each row alike, so that means of batches can be added

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, places: Sequence[int] | np.ndarray, *, in_order: bool = False) -> MaskedBatch:
        """The rows at these places of the order; from `len(self)` on those of the next epoch.

        Args:
            in_order: as they lie in the corpus.
        """
        epochs, within = np.divmod(np.asarray(places, np.int64), len(self))
        numbers = within
        if not in_order:
            numbers = np.empty_like(within)
            for epoch in np.unique(epochs):
                ours = epochs == epoch
                numbers[ours] = shuffled(within[ours], len(self), self._seed, int(epoch))
        return self._masked(
            self._rows[numbers].astype(np.int64), list(zip(epochs.tolist(), numbers.tolist(), strict=True))
        )

    def _masked(self, rows: np.ndarray, drawn_for: Sequence[tuple[int, int]]) -> MaskedBatch:
        tokens, length = rows.shape[1], self._length
        draws = np.empty((2, *rows.shape))
        others = np.empty(rows.shape, np.int64)
        for at, (epoch, row) in enumerate(drawn_for):
            random = np.random.default_rng([self._seed, epoch, row, 7])
            draws[:, at] = random.random((2, tokens))
            others[at] = random.integers(len(self._ordinary), size=tokens)
        maskable = ~self._special[rows]
        maskable[:, length:] = False
        draws[0][~maskable] = 2.0
        bound = np.partition(draws[0], self._wanted - 1, axis=1)[:, self._wanted - 1, None]
        chosen = (draws[0] <= bound) & maskable
        masked = chosen & (draws[1] < self._masking.masked)
        replaced = chosen & ~masked & (draws[1] < self._masking.masked + self._masking.replaced)
        given = np.where(masked, self._mask_id, np.where(replaced, self._ordinary[others], rows))
        padded = None
        if length < tokens:
            padded = torch.from_numpy(np.broadcast_to(np.arange(tokens) < length, rows.shape).astype(np.int64))
        places = np.flatnonzero(chosen)
        return MaskedBatch(
            torch.from_numpy(given), torch.from_numpy(places), torch.from_numpy(rows.ravel()[places]), padded
        )
