"""Pieces are counted as numpy counts them."""

from __future__ import annotations

import numpy as np
import pytest

from kd_lab.data import piece_counts
from kd_lab.data.piece_counts import occurrences


@pytest.mark.parametrize("vocab_size", [0, 5, 40])
def test_they_are_those_of_bincount(vocab_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_counts, "_PART", 3)
    ids = np.array([1, 1, 4, 0, 9, 4, 4, 2, 11, 1], np.int32)
    assert occurrences(ids, vocab_size).tolist() == np.bincount(ids, minlength=vocab_size).tolist()
