"""The first import of the large libraries."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NEW = 400_000  # objects after which the collector goes through them, and through none that are older


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
