"""Rows that share words in a row, such as phrases of one sentence: groups of them, which no split cuts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kd_lab.core.errors import UserError

_WORD = re.compile(r"\w+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd: no two places of a word in a shingle count alike


def row_groups(texts: Sequence[str], words: int) -> np.ndarray:
    """(N,) int64, the number of each row's group, from 0.

    Two rows are in one group that share `words` words in a row (a shingle: Broder 1997), or that other rows connect.
    A row with fewer words belongs to the rows that contain it where these are one group, and else to those that say
    the same. Case, punctuation and blanks do not count.
    """
    said = _Said.of(texts)
    shingles, owners = said.shingles(words, words)
    keys, rows = [shingles], [owners]
    short = {size: np.flatnonzero(said.lengths == size) for size in range(words)}
    for found in short.values():
        keys.append(said.whole(found))
        rows.append(found)
    groups = _connected(np.concatenate(keys), np.concatenate(rows), len(texts))
    moved = groups.copy()
    for size, found in short.items():
        if size and len(found):
            inner, containing = said.shingles(size, words)
            moved[found] = _only_group(said.whole(found), inner, groups[containing], groups[found])
    return np.unique(moved, return_inverse=True)[1].astype(np.int64)


def without_cutting(groups: np.ndarray, bears: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (kept, taken), both ascending: whole groups at random, `fraction` of each class and no more.

    Args:
        groups: (N,) int64 of `row_groups`.
        bears: (N, C) bool, the classes that a row bears; a group with a row that bears none is kept.

    Raises:
        UserError: every group is too large.
    """
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    counts = bears.sum(axis=0)
    lacking = np.minimum((counts * fraction + 0.5).astype(np.int64), counts - 1)
    taken = [np.empty(0, np.int64)]
    for place in np.random.default_rng(seed).permutation(len(members)):
        borne = bears[members[place]]
        need = borne.sum(axis=0)
        if borne.any(axis=1).all() and (need <= lacking).all():
            lacking = lacking - need
            taken.append(members[place])
    chosen = np.sort(np.concatenate(taken))
    if not len(chosen):
        largest = max(map(len, members))
        raise UserError(
            "dataset.split.group_words",
            expected=f"groups that fit into {100 * fraction:g} % of {len(groups)} rows",
            got=f"{len(members)}, the largest of {largest} rows",
            cure="Give more words, or null, which keeps no rows together.",
        )
    return np.setdiff1d(np.arange(len(groups)), chosen), chosen


class _Said(NamedTuple):
    """The words of all rows, one behind the other."""

    values: np.ndarray  # (W,) uint64, a number by chance for each word, the same for the same word
    starts: np.ndarray  # (N,) int64, where a row's begin
    lengths: np.ndarray  # (N,) int64, words of each row

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Said:
        vocabulary: dict[str, int] = {}
        ids: list[int] = []
        lengths = np.zeros(len(texts), np.int64)
        for row, text in enumerate(texts):
            found = _WORD.findall(text.casefold())
            lengths[row] = len(found)
            ids += [vocabulary.setdefault(word, len(vocabulary)) for word in found]
        drawn = np.random.default_rng(0).integers(2**64, size=len(vocabulary), dtype=np.uint64)
        return cls(drawn[np.array(ids, np.int64)], np.cumsum(lengths) - lengths, lengths)

    def shingles(self, size: int, least: int) -> tuple[np.ndarray, np.ndarray]:
        """(hashes, rows) of all `size` words in a row of the rows that have `least` words or more."""
        owners = np.repeat(np.arange(len(self.lengths)), self.lengths)
        left = (self.starts + self.lengths)[owners] - np.arange(len(owners))  # words from here to the row's end
        at = np.flatnonzero((left >= size) & (self.lengths[owners] >= least))
        return self._hashes(at, size), owners[at]

    def whole(self, rows: np.ndarray) -> np.ndarray:
        """A hash of each of these rows, which have as many words one as the other."""
        return self._hashes(self.starts[rows], int(self.lengths[rows[0]]) if len(rows) else 0)

    def _hashes(self, at: np.ndarray, size: int) -> np.ndarray:
        found = np.zeros(len(at), np.uint64)
        for place in range(size):
            found = found * _FACTOR + self.values[at + place]
        return found


def _connected(keys: np.ndarray, rows: np.ndarray, number: int) -> np.ndarray:
    """(N,) int32, the component of each row, where a key connects the rows that have it."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    distinct, columns = np.unique(keys, return_inverse=True)
    size = number + len(distinct)
    graph = csr_array((np.ones(len(rows), bool), (rows, number + columns)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][:number])


def _only_group(phrases: np.ndarray, inner: np.ndarray, groups: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(P,) the group of the rows that contain each phrase, or its own where there is none or more than one.

    Args:
        phrases: (P,) hashes.
        inner, groups: of each run of so many words in longer rows its hash and its row's group.
        own: (P,) groups.
    """
    there = np.isin(inner, phrases, kind="sort")  # the other kind fails of such large numbers in numpy 2.0
    pairs = np.unique(np.column_stack([inner[there], groups[there].astype(np.uint64)]), axis=0)
    contained, first, times = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    places = np.searchsorted(contained, phrases)
    found = np.isin(phrases, contained[times == 1], kind="sort")
    result = own.copy()
    result[found] = pairs[first[places[found]], 1].astype(own.dtype)
    return result
