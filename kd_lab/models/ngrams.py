"""Numbers for the n-grams of word pieces, the same in training, in ONNX and for scikit-learn."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_FACTOR = 116_049_371  # fastText's, by which the number of an n-gram is drawn from those of its words


def ngram_numbers(ids: Tensor, mask: Tensor, longest: int, buckets: int) -> list[tuple[Tensor, Tensor]]:
    """Numbers (B, T) from 0 to `buckets` of the n-grams that end at each token, n from 2 up, and which of them are.

    Args:
        ids: (B, T) pieces.
        mask: (B, T), 0 for padding.
        longest: the largest n.
    """
    found = []
    tokens = ids.shape[1]
    numbers, there = ids, mask
    for _ in range(longest - 1):
        # shifted by one place to the right; padding before the first token, where no n-gram ends
        numbers, there = F.pad(numbers, (1, 0))[:, :tokens], F.pad(there, (1, 0))[:, :tokens] * mask
        numbers = (numbers * _FACTOR + ids) % buckets
        found.append((numbers, there))
    return found
