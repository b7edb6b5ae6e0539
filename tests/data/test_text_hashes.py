"""Rows are known by their texts."""

from __future__ import annotations

import numpy as np

from kd_lab.data.dataset import Split
from kd_lab.data.text_hashes import text_hashes


def hashes(texts: list[str], pairs: list[str] | None = None) -> list[int]:
    found = text_hashes(Split(texts, np.zeros(len(texts), np.int64), pairs))
    assert found.dtype == np.uint64
    assert found.shape == (len(texts),)
    return found.tolist()


def test_a_row_keeps_its_hash_wherever_it_stands_and_whatever_its_label() -> None:
    assert hashes(["a", "b"]) == hashes(["b", "a"])[::-1]
    assert len(set(hashes(["a", "b", "a ", "A", "\ud800"]))) == 5
    labels = np.array([1], np.int64)
    assert text_hashes(Split(["a"], labels)).tolist() == hashes(["a"])


def test_both_texts_of_a_pair_count_and_where_one_ends() -> None:
    assert len({*hashes(["ab"]), *hashes(["ab"], [""]), *hashes(["a"], ["b"]), *hashes(["b"], ["a"])}) == 4


def test_the_hash_is_the_same_on_every_machine() -> None:
    """Worked out by hashlib's blake2b of 8 bytes, little end first."""
    import hashlib

    expected = int.from_bytes(hashlib.blake2b(b"plain words", digest_size=8).digest(), "little")
    assert hashes(["plain words"]) == [expected]
