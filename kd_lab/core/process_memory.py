"""What becomes of memory that is freed."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt(3)


def keep_freed_memory() -> None:
    """Has this process keep what it frees, up to 2 GiB, for what it asks for next; on glibc, nowhere else.

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
