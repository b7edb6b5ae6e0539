"""Which rows are drawn where a row bears several labels: each label in proportion, the rare ones first."""

from __future__ import annotations

import numpy as np


def stratified_sets(labels: np.ndarray, sets: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (kept, taken), both ascending, `fraction` of each label's rows taken at random.

    After the iterative stratification of Sechidis et al. (ECML PKDD 2011): labels from the rarest on, each taking of
    its rows that no rarer one has settled what it still lacks. Rows that bear none count as a label of their own. Of a
    label that has one row it is kept.

    Args:
        labels: (N,) row of `sets`, or -1 for rows without labels, which are kept.
        sets: (K, C) bool.
    """
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labels >= 0))
    chosen = np.sort(rows[_taken(_bearing(sets, labels[rows]), fraction)])
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def in_proportion_sets(labels: np.ndarray, sets: np.ndarray, limit: int, seed: int) -> np.ndarray:
    """Ids of `limit` rows, ascending, chosen at random, each label in proportion, those without labels too."""
    if len(labels) <= limit:
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    rows = random.permutation(len(labels))
    known = labels[rows] >= 0
    bearing = np.column_stack([_bearing(sets, labels[rows]) & known[:, None], ~known])
    taken = _taken(bearing, limit / len(labels))
    more = limit - int(taken.sum())
    changed = random.permutation(np.flatnonzero(taken if more < 0 else ~taken))[: abs(more)]
    taken[changed] = more > 0
    return np.sort(rows[taken])


def _bearing(sets: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """(N, C + 1) bool, which labels each row bears, and whether it bears none."""
    found = sets[numbers]
    return np.column_stack([found, ~found.any(axis=1)])


def _taken(bearing: np.ndarray, fraction: float) -> np.ndarray:
    """(N,) bool, the rows that are taken, of rows in random order."""
    taken, free = np.zeros(len(bearing), bool), np.ones(len(bearing), bool)
    counts = bearing.sum(axis=0)
    for label in np.argsort(counts, kind="stable"):
        own = bearing[:, label]
        lacking = min(int(counts[label] * fraction + 0.5), int(counts[label]) - 1) - int(taken[own].sum())
        left = np.flatnonzero(own & free)
        taken[left[: max(lacking, 0)]] = True
        free[left] = False
    return taken
