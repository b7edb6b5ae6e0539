"""Writes an array to disk piece by piece; the file is the one that `numpy.save` makes of the whole."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np


class NpyFile:
    """An array (N, ...) of which N need not be known; it is whole once the `with` block ends.

    Args:
        path: of the file, written anew.
        dtype: of the numbers.
        row: the shape of a row; () for an array of numbers.
    """

    def __init__(self, path: Path, dtype: Any, row: tuple[int, ...] = ()) -> None:
        self._dtype, self._row, self._rows = np.dtype(dtype), row, 0
        self._size = self._dtype.itemsize * int(np.prod(row, dtype=np.int64))
        self._file = path.open("wb", buffering=0)
        self._write_header()
        self._start = self._file.tell()

    def append(self, rows: np.ndarray) -> None:
        """Writes rows (n, ...) behind those that are there."""
        self._write(np.ascontiguousarray(rows, self._dtype).tobytes(), self._rows)
        self._rows += len(rows)

    def put(self, places: np.ndarray, rows: np.ndarray) -> None:
        """Writes rows (n, ...) at their places, in any order; in the end there must be one for each."""
        for place, row in zip(places.tolist(), np.ascontiguousarray(rows, self._dtype), strict=True):
            self._write(row.tobytes(), place)
        self._rows = max(self._rows, int(places.max(initial=-1)) + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._write_header()  # as long as before: it has room for any number of rows
                assert self._file.tell() == self._start

    def _write_header(self) -> None:
        shape = (self._rows, *self._row)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _write(self, content: bytes, place: int) -> None:
        at, left = self._start + place * self._size, memoryview(content)
        while left:
            written = os.pwrite(self._file.fileno(), left, at)
            at, left = at + written, left[written:]
