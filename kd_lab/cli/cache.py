"""`kd-lab cache`: what is kept, and how to free it."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kd_lab.core.cache import Cache
from kd_lab.core.cache_folder import mark, refuse_foreign
from kd_lab.core.cache_gc import collect
from kd_lab.core.errors import UserError, disk_errors

_DAY_S = 86_400


def cache(arguments: Sequence[str]) -> int:
    """Lists the artifacts, or deletes those that have long not been used.

    Returns:
        exit code 0; 1 where something that nobody uses could not be deleted.

    Raises:
        UserError: the folder is no cache of kd_lab, or the days are no number of days.
    """
    parser = argparse.ArgumentParser("kd-lab cache", description="List what is kept, or free room.")
    parser.add_argument("what", nargs="?", choices=("ls", "gc"), default="ls")
    parser.add_argument("--days", type=float, default=30, help="gc deletes what was last used longer ago (default 30)")
    parser.add_argument("--dry-run", action="store_true", help="gc says what it would delete, and deletes nothing")
    parser.add_argument("--root", type=Path, default=_default_root(), help="the cache (paths.cache)")
    options = parser.parse_args(arguments)
    if not (math.isfinite(options.days) and options.days >= 0):
        cure = "Give e.g. --days 30; 0 frees all that is not in use."
        raise UserError("--days", expected="a number of days, 0 or more", got=str(options.days), cure=cure)
    root = options.root.expanduser()
    with disk_errors(root):
        if root.exists():
            refuse_foreign(root, "--root")
        return _gc(root, options.days, options.dry_run) if options.what == "gc" else _ls(root)


def _ls(root: Path) -> int:
    table = Table("kind", "artifacts", "MiB", title=str(root))
    kept = Cache(root)
    sizes: dict[str, list[int]] = {}
    for kind, _, size in kept.entries():
        sizes.setdefault(kind, []).append(size)
    for path, size in kept.leftovers():
        sizes.setdefault("damaged" if ".damaged-" in path.name else "cut off", []).append(size)
    for kind, all_sizes in sizes.items():
        table.add_row(kind, str(len(all_sizes)), f"{sum(all_sizes) / 2**20:.1f}")
    Console().print(table)
    return 0


def _gc(root: Path, days: float, dry_run: bool) -> int:
    """Says what goes, and why what is old stays."""
    freed, code = 0, 0
    if root.exists() and not dry_run:
        mark(root)
    for old in collect(root, days * _DAY_S, dry_run):
        about = (
            f"{old.path.relative_to(root)}, {old.bytes / 2**20:.1f} MiB, last used {old.idle_s / _DAY_S:.1f} days ago"
        )
        if old.kept:
            print(f"kept {about}: {old.kept}", file=sys.stderr)
            code = code if old.in_use else 1
        else:
            print(f"{'would free' if dry_run else 'freed'} {about}")
            freed += old.bytes
    print(f"{'would free' if dry_run else 'freed'} {freed / 2**20:.1f} MiB of {root}")
    return code


def _default_root() -> Path:
    return Path(os.environ.get("KD_LAB_CACHE") or Path.home() / ".cache" / "kd_lab")
