"""Which rows are drawn by chance: each class in proportion; where a row bears several labels the rare ones first."""

from __future__ import annotations

import numpy as np


def in_proportion(labels: np.ndarray, limit: int, seed: int, sets: np.ndarray | None = None) -> np.ndarray:
    """Ids of `limit` rows, ascending, chosen at random, each class in proportion; of all where there are no more.

    Where a row bears several labels each of these is in proportion, and rows without labels are too.

    Args:
        sets: (K, C) bool, of which `labels` are rows, or -1; None where a row has one label.
    """
    if len(labels) <= limit:
        return np.arange(len(labels))
    random = np.random.default_rng(seed)
    if sets is not None:
        rows = random.permutation(len(labels))
        borne = bearing(labels[rows], sets)
        taken = _taken(np.column_stack([borne, ~borne.any(axis=1)]), limit / len(labels))
        more = limit - int(taken.sum())
        changed = random.permutation(np.flatnonzero(taken if more < 0 else ~taken))[: abs(more)]
        taken[changed] = more > 0
        return np.sort(rows[taken])
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * limit / len(labels)
    numbers = exact.astype(np.int64)
    numbers[np.argsort(numbers - exact, kind="stable")[: limit - numbers.sum()]] += 1  # the largest remainders
    rows_of = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(np.concatenate([rows[:number] for rows, number in zip(rows_of, numbers, strict=True)]))


def stratified(
    labels: np.ndarray, fraction: float, seed: int, sets: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (kept, taken), both ascending, `fraction` of each class taken at random.

    A class with two rows or more keeps at least one and, where its share is half a row or more, gives one. Rows
    without a label are kept.

    Where a row bears several labels it is done after the iterative stratification of Sechidis et al. (ECML PKDD 2011):
    labels from the rarest on, each taking of its rows that no rarer one has settled what it still lacks. Rows that bear
    none count as a label of their own. Of a label that has one row it is kept.

    Args:
        sets: (K, C) bool, of which `labels` are rows, or -1; None where a row has one label.
    """
    random = np.random.default_rng(seed)
    taken = [np.empty(0, np.int64)]  # of a split without rows, which `checked` refuses
    if sets is not None:
        rows = random.permutation(np.flatnonzero(labels >= 0))
        taken.append(rows[_taken(bearing(labels[rows], sets), fraction)])
    else:
        for label in np.unique(labels[labels >= 0]):
            rows = random.permutation(np.flatnonzero(labels == label))
            taken.append(rows[: min(int(len(rows) * fraction + 0.5), len(rows) - 1)])
    chosen = np.sort(np.concatenate(taken))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def bearing(labels: np.ndarray, sets: np.ndarray | None) -> np.ndarray:
    """(N, C) bool, the classes that each row bears, and of several labels a row whether it bears none.

    A row without labels, -1, has none of these.
    """
    known = labels >= 0
    if sets is None:
        found: np.ndarray = labels[:, None] == np.unique(labels[known])
    else:
        borne = sets[labels]
        found = np.column_stack([borne, ~borne.any(axis=1)]) & known[:, None]
    return found


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
