"""Rows of every class come equally often, and no row of a class more often than another."""

from __future__ import annotations

import numpy as np
import pytest

from kd_lab.core.cache import describe
from kd_lab.data.balanced_rows import balanced_rows, class_counts
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import TokenSplit
from kd_lab.training.settings import Trainer

LABELS = np.array([0] * 70 + [1] * 7 + [3] * 2 + [-1] * 21)


def drawn(seed: int, labels: np.ndarray = LABELS) -> np.ndarray:
    return balanced_rows(labels, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_each_class_comes_as_often_as_another_and_rows_without_a_label_once_each(seed: int) -> None:
    rows = drawn(seed)
    assert len(rows) == len(LABELS)
    counts = class_counts(LABELS[rows], 4)
    assert sorted(counts.tolist()) == [0, 26, 26, 27]
    assert counts[2] == 0
    assert sorted(rows[LABELS[rows] == -1]) == list(range(79, 100))


def test_rows_of_a_class_come_equally_often() -> None:
    times = np.bincount(drawn(0), minlength=len(LABELS))
    for label in (0, 1, 3):
        assert np.ptp(times[label == LABELS]) <= 1
    assert times[LABELS == 0].max() == 1
    assert times[LABELS == 3].min() == 13


def test_another_draw_takes_other_rows_and_the_same_seed_the_same() -> None:
    assert drawn(0).tolist() == drawn(0).tolist() != drawn(1).tolist()
    often = sum(np.bincount(drawn(seed), minlength=len(LABELS))[:70] for seed in range(30))
    assert often.min() > 0, "of a large class every row is seen in time"


def test_even_classes_are_gone_through_row_by_row() -> None:
    assert drawn(0, np.array([2, 0, 1, 1, 0, 2])).tolist() == [0, 1, 2, 3, 4, 5]


def test_rows_without_labels_alone_are_all_taken() -> None:
    assert drawn(0, np.array([-1, -1])).tolist() == [0, 1]


def split() -> TokenSplit:
    offsets = np.arange(len(LABELS) + 1)
    return TokenSplit(np.arange(len(LABELS), dtype=np.int32), offsets, LABELS, None)


def test_a_balanced_loader_draws_from_its_rows_anew_in_each_pass_as_many_as_they_are() -> None:
    chosen = np.flatnonzero(LABELS >= 0)
    batches = BatchLoader(split(), 8, 0, seed=1, rows=chosen, balanced=True)
    first, second = ([row for batch in batches for row in batch.row_ids.tolist()] for _ in range(2))
    assert len(first) == len(second) == len(chosen)
    assert set(first) <= set(chosen.tolist())
    assert first != second
    assert sorted(class_counts(LABELS[first], 4).tolist()) == [0, 26, 26, 27]
    resumed = BatchLoader(split(), 8, 0, seed=1, rows=chosen, balanced=True)
    resumed.epoch = 1
    assert [row for batch in resumed for row in batch.row_ids.tolist()] == second


def test_shuffling_as_ever_renames_no_fit() -> None:
    assert "sampling" not in describe(Trainer())
    assert describe(Trainer(sampling="balanced"))["sampling"] == "balanced"
