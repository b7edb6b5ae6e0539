"""A file that is written piece by piece is the one that numpy writes of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kd_lab.data.npy_file import NpyFile


@pytest.mark.parametrize(
    ("whole", "dtype"),
    [
        (np.arange(1000), np.int32),
        (np.arange(100) % 2, np.int8),
        (np.empty(0), np.int64),
        (np.arange(60).reshape(12, 5) / 7, np.float32),
    ],
)
def test_appended_rows_make_the_file_that_numpy_saves(whole: np.ndarray, dtype: Any, tmp_path: Path) -> None:
    whole = whole.astype(dtype)
    np.save(tmp_path / "expected.npy", whole)
    with NpyFile(tmp_path / "found.npy", dtype, whole.shape[1:]) as file:
        for start in range(0, len(whole), 7):
            file.append(whole[start : start + 7])
    assert (tmp_path / "found.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_rows_that_are_put_in_any_order_do_too(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    order = np.random.default_rng(1).permutation(50)
    np.save(tmp_path / "expected.npy", whole)
    with NpyFile(tmp_path / "found.npy", np.float32, (3,)) as file:
        for start in range(0, 50, 8):
            rows = order[start : start + 8]
            file.put(rows, whole[rows])
    assert (tmp_path / "found.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_one_that_is_cut_off_says_no_rows(tmp_path: Path) -> None:
    def cut_off() -> None:
        with NpyFile(tmp_path / "found.npy", np.int64) as file:
            file.append(np.arange(5))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert len(np.load(tmp_path / "found.npy")) == 0
