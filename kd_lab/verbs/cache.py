"""`kd-lab cache`: what is kept, and how to free it."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kd_lab.cache import Cache

_DAY_S = 86_400


def cache(arguments: Sequence[str]) -> int:
    """Lists the artifacts, or deletes those that are old.

    Returns:
        exit code 0.
    """
    parser = argparse.ArgumentParser("kd-lab cache", description="List what is kept, or free room.")
    parser.add_argument("what", nargs="?", choices=("ls", "gc"), default="ls")
    parser.add_argument("--days", type=float, default=30, help="gc deletes what was made longer ago (default 30)")
    parser.add_argument("--root", type=Path, default=_default_root(), help="the cache (paths.cache)")
    options = parser.parse_args(arguments)
    out, kept = Console(), Cache(options.root)
    if options.what == "gc":
        freed = 0
        for folder, size in [*((folder, size) for _, folder, size in kept.entries()), *kept.leftovers()]:
            if time.time() - folder.stat().st_mtime > options.days * _DAY_S:
                shutil.rmtree(folder)
                freed += size
        out.print(f"freed {freed / 2**20:.1f} MiB of {options.root}", highlight=False)
        return 0
    table = Table("kind", "artifacts", "MiB", title=str(options.root))
    sizes: dict[str, list[int]] = {}
    for kind, _, size in kept.entries():
        sizes.setdefault(kind, []).append(size)
    if left := kept.leftovers():
        sizes["cut off"] = [size for _, size in left]
    for kind, all_sizes in sizes.items():
        table.add_row(kind, str(len(all_sizes)), f"{sum(all_sizes) / 2**20:.1f}")
    out.print(table)
    return 0


def _default_root() -> Path:
    return Path(os.environ.get("KD_LAB_CACHE") or Path.home() / ".cache" / "kd_lab")
