"""How a process of `kd-lab` is tuned: what becomes of memory that is freed, and how the large libraries are loaded."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLES = {  # read once, when torch is first imported
    "GOMP_SPINCOUNT": "10000",  # a thread that waits soon gives its core away: see experiments/LOG.md
    "TOKENIZERS_PARALLELISM": "true",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it a GPU's products are not the same in every run
}
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)
KEPT = 2**31  # bytes of freed memory that a process keeps while it goes through batches
_BATCHES = 16  # between two looks at it
_NEW = 400_000  # objects after which the collector goes through them, and through none that are older


def set_variables() -> None:
    """Sets what torch reads of the environment when it is first imported; what the user has set stands."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)


def keep_freed_memory() -> None:
    """Has this process keep what it frees for what it asks for next; on glibc, nowhere else. `FreedMemory` bounds it.

    Each step of a fit frees hundreds of MiB and asks for as much again. Given back to the system in between, they come
    back page by page: a fifth of a step of an LSTM, a tenth of an encoder's, both at 128 tokens.

    It holds for the whole process and for good: glibc does not tell what was set before. So the command `kd-lab` calls
    it, in its own process and in those of its cells, and no function of the library does.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**30)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def give_back_freed_memory() -> None:
    """Gives back to the system what this process keeps and does not use; on glibc, nowhere else.

    Between two cells: what one leaves in pieces is of no use to the next, whose batches have other shapes.
    """
    gc.collect()  # what a fit leaves refers to itself
    _trim()


class FreedMemory:
    """Bounds what a process keeps of freed memory while it goes through batches; on glibc, nowhere else.

    Batches of unlike lengths leave memory in pieces that the next one does not fit into: an LSTM on texts of up to 400
    tokens came to hold 13 GB, and used 0.7.
    """

    def __init__(self) -> None:
        self._batches, self._least = 0, _resident()

    def bound(self) -> None:
        """Called after each batch: gives back what is not in use once more than `KEPT` bytes came together since."""
        self._batches += 1
        if self._batches % _BATCHES or _resident() - self._least <= KEPT:
            return
        _trim()
        self._least = _resident()


def _resident() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


def _trim() -> None:
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)


@contextmanager
def first_import() -> Iterator[None]:
    """Has what is imported within it loaded with next to no garbage collection, where torch is not loaded yet.

    torch, transformers and Lightning make more than a million objects, nearly all of which stay. The collector would go
    through them again and again, a fifth of the time that importing takes; from then on it leaves them out.
    """
    if "torch" in sys.modules:
        yield
        return
    usual = gc.get_threshold()
    gc.set_threshold(_NEW, 1000, 1000)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*usual)
