"""The first import of the large libraries."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def first_import() -> Iterator[None]:
    """Has what is imported within it loaded without garbage collection, where torch is not loaded yet.

    torch, transformers and Lightning make more than a million objects, nearly all of which stay. The collector would go
    through them again and again, a fifth of the time that importing takes; from then on it leaves them out.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
