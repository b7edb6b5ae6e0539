"""What came before is known, as a set knows it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from kd_lab.data.seen_hashes import SeenHashes


def test_it_knows_what_a_set_knows() -> None:
    draw = np.random.default_rng(0)
    seen, known = SeenHashes(), set[int]()
    for size in (0, 1, 7, 300, 5, 0, 800, 1, 40):
        hashes = draw.integers(0, 1000, size).astype(np.uint64) * np.uint64(2**54)
        expected = []
        for one in hashes.tolist():
            expected.append(one not in known)
            known.add(one)
        assert seen.new(hashes).tolist() == expected


def test_each_array_is_more_than_twice_as_long_as_the_next_and_none_holds_a_number_twice() -> None:
    seen = SeenHashes()
    for start in range(0, 5000, 50):
        assert seen.new(np.arange(start, start + 60, dtype=np.uint64)).sum() == (60 if start == 0 else 50)
    lengths = [len(part) for part in seen._sorted]
    assert sum(lengths) == 5010
    assert all(longer > 2 * shorter for longer, shorter in pairwise(lengths))
    assert all((np.diff(part.astype(np.int64)) > 0).all() for part in seen._sorted)
