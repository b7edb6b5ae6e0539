"""How often each word piece occurs."""

from __future__ import annotations

import numpy as np

_PART = 2**20  # pieces that are counted at a time


def occurrences(token_ids: np.ndarray, vocab_size: int = 0) -> np.ndarray:
    """(V,) int64, as `numpy.bincount`, which would copy all ids at twice their size; V is `vocab_size` or more."""
    counts = np.zeros(vocab_size, np.int64)
    for start in range(0, len(token_ids), _PART):
        found = np.bincount(token_ids[start : start + _PART], minlength=len(counts))
        found[: len(counts)] += counts
        counts = found
    return counts
