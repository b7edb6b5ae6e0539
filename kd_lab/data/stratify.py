"""Which rows are drawn by chance: each class in proportion; where a row bears several labels the rare ones first."""

from __future__ import annotations

import numpy as np


def in_proportion(labels: np.ndarray, limit: int, seed: int, sets: np.ndarray | None = None) -> np.ndarray:
    """Ids of `limit` rows, ascending, chosen at random, each class in proportion; of all where there are no more."""
    if sets is not None:
        return in_proportion_sets(labels, sets, limit, seed)
    if len(labels) <= limit:
        return np.arange(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * limit / len(labels)
    numbers = exact.astype(np.int64)
    numbers[np.argsort(numbers - exact, kind="stable")[: limit - numbers.sum()]] += 1  # the largest remainders
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(np.concatenate([row[:number] for row, number in zip(rows, numbers, strict=True)]))


def stratified(
    labels: np.ndarray, fraction: float, seed: int, sets: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (kept, taken), both ascending, `fraction` of each class taken at random.

    A class with two rows or more keeps at least one and, where its share is half a row or more, gives one. Rows
    without a label are kept.
    """
    if sets is not None:
        return stratified_sets(labels, sets, fraction, seed)
    random = np.random.default_rng(seed)
    taken = [np.empty(0, np.int64)]  # of a split without rows, which `checked` refuses
    for label in np.unique(labels[labels >= 0]):
        rows = random.permutation(np.flatnonzero(labels == label))
        taken.append(rows[: min(int(len(rows) * fraction + 0.5), len(rows) - 1)])
    chosen = np.sort(np.concatenate(taken))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


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
    borne = bearing(labels[rows], sets)
    taken = _taken(np.column_stack([borne, ~borne.any(axis=1)]), limit / len(labels))
    more = limit - int(taken.sum())
    changed = random.permutation(np.flatnonzero(taken if more < 0 else ~taken))[: abs(more)]
    taken[changed] = more > 0
    return np.sort(rows[taken])


def bearing(labels: np.ndarray, sets: np.ndarray | None) -> np.ndarray:
    """(N, C) bool, the classes that each row bears, and of several labels a row whether it bears none.

    A row without labels, -1, has none of these.
    """
    known = labels >= 0
    return labels[:, None] == np.unique(labels[known]) if sets is None else _bearing(sets, labels) & known[:, None]


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
