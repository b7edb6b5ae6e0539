"""Which hashes came before: a set of numbers in 8 bytes each."""

from __future__ import annotations

import numpy as np


class SeenHashes:
    """Sorted arrays, each more than twice as long as the next: a number is moved a few times, however many come.

    Two texts of a million share a hash of 64 bits with a chance of 3 in 100 million.
    """

    def __init__(self) -> None:
        self._sorted: list[np.ndarray] = []

    def new(self, hashes: np.ndarray) -> np.ndarray:
        """(N,) bool, which of these (N,) uint64 are there for the first time; from now on none of them is."""
        distinct, first = np.unique(hashes, return_index=True)
        unseen = np.ones(len(distinct), bool)
        for part in self._sorted:
            place = np.searchsorted(part, distinct).clip(max=len(part) - 1)
            unseen &= part[place] != distinct
        found = np.zeros(len(hashes), bool)
        found[first[unseen]] = True
        self._add(distinct[unseen])
        return found

    def _add(self, hashes: np.ndarray) -> None:
        if not len(hashes):
            return
        while self._sorted and len(self._sorted[-1]) <= 2 * len(hashes):
            hashes = np.sort(np.concatenate([self._sorted.pop(), hashes]), kind="stable")
        self._sorted.append(hashes)
