"""An order of any number of rows that takes no memory: which row comes at a place is computed, not looked up."""

from __future__ import annotations

import numpy as np

_ROUNDS = 6


def shuffled(places: np.ndarray, size: int, seed: int, epoch: int) -> np.ndarray:
    """(n,) int64, the rows at these places of an order of `size` rows that seed and epoch decide.

    A Feistel network over the next power of 4, walked on until it leads below `size` (Black & Rogaway 2002, method 3):
    a permutation, whatever the rounds do.

    Args:
        places: (n,) int, each from 0 to below `size`.
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    keys = np.random.SeedSequence([seed, epoch, 5]).generate_state(_ROUNDS, np.uint64)
    found = _network(np.asarray(places, np.uint64), half, keys)
    while (beyond := found >= size).any():
        found[beyond] = _network(found[beyond], half, keys)
    return found.astype(np.int64)


def _network(values: np.ndarray, half: int, keys: np.ndarray) -> np.ndarray:
    shift, mask = np.uint64(half), np.uint64(2**half - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << shift) | right


def _mixed(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit of its input changes half of its output's."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
