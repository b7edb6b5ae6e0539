"""Columns of texts that lie on disk: read like lists, of which memory holds only where each text begins and ends."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, overload

import numpy as np

_BLOCK = 4096  # texts that are read or written at a time
_GAP = 2**20  # bytes between the texts of a block that are read with them
_place: ContextVar[Path | None] = ContextVar("place", default=None)


@contextmanager
def texts_stored_in(folder: Path) -> Iterator[None]:
    """Meanwhile texts are stored on the disk of that folder, such as the cache's, not where temporary files lie.

    They have no name there, and are gone when nobody reads them any more.
    """
    before = _place.set(folder)
    try:
        yield
    finally:
        _place.reset(before)


class StoredTexts(Sequence[str]):
    """Texts in a file, in any order.

    Args:
        file: their letters in UTF-8.
        starts: (N,) int64, the byte at which each begins.
        sizes: (N,) uint32, its bytes.
    """

    def __init__(self, file: IO[bytes], starts: np.ndarray, sizes: np.ndarray) -> None:
        self._file, self._starts, self._sizes = file, starts, sizes

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return self._read(self._starts[place], self._sizes[place])
        return self._one(int(self._starts[place]), int(self._sizes[place]))

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BLOCK):
            yield from self[start : start + _BLOCK]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list

    def __repr__(self) -> str:
        return f"<{len(self):,} texts on disk>"

    def take(self, rows: np.ndarray) -> StoredTexts:
        """The texts of these rows, in that order; they stay on disk."""
        return StoredTexts(self._file, self._starts[rows], self._sizes[rows])

    def _read(self, starts: np.ndarray, sizes: np.ndarray) -> list[str]:
        if not len(starts):
            return []
        first, last = int(starts.min()), int((starts + sizes).max())
        if last - first > int(sizes.sum()) + _GAP:
            return [self._one(start, size) for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)]
        letters = _bytes(self._file, first, last - first)
        begins = (starts - first).tolist()
        return [letters[at : at + size].decode() for at, size in zip(begins, sizes.tolist(), strict=True)]

    def _one(self, start: int, size: int) -> str:
        return _bytes(self._file, start, size).decode()


class TextStore:
    """Takes texts one after the other."""

    def __init__(self) -> None:
        self._file: IO[bytes] = TemporaryFile(dir=_place.get(), buffering=0)  # noqa: SIM115 - as long as its texts live
        self._sizes: list[np.ndarray] = [np.empty(0, np.uint32)]

    def extend(self, texts: Iterable[str]) -> None:
        """Stores them below those that are there."""
        left = iter(texts)
        while letters := [text.encode() for text in islice(left, _BLOCK)]:
            self._sizes.append(np.fromiter(map(len, letters), np.uint32, len(letters)))
            whole = memoryview(b"".join(letters))
            while whole:
                whole = whole[self._file.write(whole) :]

    def texts(self) -> StoredTexts:
        """All of them."""
        sizes = np.concatenate(self._sizes)
        starts = np.zeros(len(sizes), np.int64)
        np.cumsum(sizes[:-1], out=starts[1:])
        return StoredTexts(self._file, starts, sizes)


def take(texts: Sequence[str], rows: np.ndarray) -> Sequence[str]:
    """The texts of these rows, in that order, in memory or on disk as they were."""
    return texts.take(rows) if isinstance(texts, StoredTexts) else [texts[row] for row in rows]


def _bytes(file: IO[bytes], start: int, size: int) -> bytes:
    found = os.pread(file.fileno(), size, start)
    while len(found) < size:  # of more than 2 GiB a call gives a part
        more = os.pread(file.fileno(), size - len(found), start + len(found))
        if not more:
            raise OSError("a file of texts is shorter than what was written into it")
        found += more
    return found
