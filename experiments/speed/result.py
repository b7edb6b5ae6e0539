"""`result.json` of a benchmark: what was measured, how, when, on what; and the same for a person."""

from __future__ import annotations

import datetime
import json
import os
import subprocess  # git with fixed arguments, no shell
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.speed.command_line import BenchmarkRequest
from experiments.speed.rounds import Measured, Ratio
from kd_lab.core.machine import PACKAGES, describe_machine, git_commit, versions
from kd_lab.core.paths import root

SCHEMA = 1
FILE = "result.json"
COMMIT = "KD_LAB_COMMIT"
_GENERATED = (".", ":(exclude)*.md", ":(exclude)experiments/speed/*/*")  # what a benchmark writes is no change of code


def write(
    asked: BenchmarkRequest,
    measured: Sequence[Measured],
    ratios: Mapping[str, Ratio],
    settings: Mapping[str, Any],
    *,
    figures: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Writes the benchmark's result.json and prints its figures.

    Args:
        asked: the command line.
        measured: one entry for each set of rounds.
        ratios: name, such as "ours / b" -> ratio.
        settings: what was measured, in numbers.
        figures: what is worked out from more than one set of rounds.
        notes: what a reader must know of the figures.
    """
    medians = {job: found for one in measured for job, found in one.medians().items()}
    contended = any(one.contended for one in measured)
    told = {
        "schema": SCHEMA,
        "benchmark": asked.benchmark,
        "command": asked.command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_commit": commit(),
        "versions": versions((*PACKAGES, "accelerate")),
        "machine": describe_machine(),
        "settings": {**settings, "overrides": asked.overrides, "again": asked.again, "quick": asked.quick},
        "medians": medians,
        "ratios": {name: asdict(ratio) for name, ratio in ratios.items()},
        "figures": dict(figures or {}),
        "contended": contended,
        "notes": list(notes),
        "rounds": [asdict(one) for part in measured for one in part.rounds],
        "thrown_away": [asdict(one) for part in measured for one in part.thrown_away],
    }
    path = asked.folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _tell(told, path)
    return path


def read(path: Path) -> dict[str, Any]:
    """A result that `write` wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def told_commit(found: Mapping[str, Any]) -> str:
    """The commit that a result was measured at, short, with "-dirty" where files had changed since."""
    commit, dirty, _ = (found["git_commit"] or "unknown").partition("-dirty")
    return f"{commit[:7]}{dirty}"


def commit() -> str | None:
    """The commit that ran; "-dirty" where more was changed than what benchmarks write.

    A copy without git is told its commit in KD_LAB_COMMIT.
    """
    if COMMIT in os.environ:
        return os.environ[COMMIT]
    found = git_commit(root())
    if found is None or not found.endswith("-dirty"):
        return found
    line = ("git", "--no-optional-locks", "-C", str(root()), "diff", "--quiet", "HEAD", "--", *_GENERATED)
    clean = subprocess.run(line, check=False, timeout=10).returncode == 0  # noqa: S603
    return found.removesuffix("-dirty") if clean else found


def _tell(told: Mapping[str, Any], path: Path) -> None:
    for job, found in told["medians"].items():
        print(f"{job}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()))
    for name, one in told["ratios"].items():
        spread = f"[{one['low']:.3f}, {one['high']:.3f}] over {one['rounds']} rounds"
        print(f"{name} ({one['figure']}): {one['median']:.3f} {spread}")
    for name, value in told["figures"].items():
        print(f"{name}: {json.dumps(value)}")
    for note in told["notes"]:
        print(f"note: {note}")
    if told["contended"]:
        print("CONTENDED: other processes were busy; these figures are not to be trusted")
    print(path)
