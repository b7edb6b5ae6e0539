"""Counts what a process does to files below a folder, and ends or fails it at one of these acts (`interpose.c`)."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess  # cc with fixed arguments, no shell
import sys
import tempfile
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class How(IntEnum):
    """What is done at the act that is named; the numbers are those of interpose.c."""

    LIST = 1
    KILL_BEFORE = 2
    KILL_AFTER = 3
    FAIL_ONCE = 4
    FAIL_FROM = 5  # every act from there on


def preload() -> None:
    """Starts this process anew with the library loaded, unless it is."""
    library = _built()
    if os.environ.get("LD_PRELOAD") != str(library):
        os.environ["LD_PRELOAD"] = str(library)
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this very program again


def begin(folder: Path, how: How, at: int = 0, error: int = 0, log: int = -1) -> None:
    """From here on acts below `folder` are counted from 0.

    Args:
        how: what is done at act number `at`.
        error: the errno it fails with.
        log: descriptor that each act is written to as `act<TAB>path below the folder`, for `How.LIST`.
    """
    ctypes.CDLL(None).kd_begin(str(folder.resolve()).encode(), int(how), at, error, log)


def _built() -> Path:
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"kd_lab_interpose_{os.getuid()}_{digest}.so"
    if not library.is_file():
        draft = library.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(draft), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)  # noqa: S603
        os.replace(draft, library)
    return library
