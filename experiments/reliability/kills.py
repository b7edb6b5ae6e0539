"""The whole process group of a sweep killed with -9 at random moments: on a grid, in processes of joblib, in a search.

    python -m experiments.reliability.kills --kills 50

After each kill the same line is started again, and killed again, until it gets through; then a new sweep begins. No
cell that has finished may be lost or repeated, and the rows are those of a sweep that nobody disturbed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.reliability import result, workload
from experiments.reliability.workload import NAME, SETTINGS
from kd_lab.core import results

AXES = ["seed=0,1,2", "loss.temperature=1,4"]
LINES = {
    "grid": ["-m", *SETTINGS, *AXES],
    "joblib": ["-m", *SETTINGS, *AXES, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "optuna": ["-m", *SETTINGS, "hydra/sweeper=optuna", "hydra.sweeper.trials=6", "loss.alpha=interval(0,1)"],
}


def start(folder: Path, line: list[str]) -> int:
    """The command in a process group of its own; its number."""
    child = os.fork()
    if not child:
        os.setsid()
        workload.run_here(folder, line, lambda: None, folder / "said.txt")
    return child


def finished(folder: Path) -> dict[str, tuple[int, dict[str, float]]]:
    """Cell -> (time of its file in ns, seconds of its steps): a run again would have others."""
    cells = (folder / "multirun" / NAME).glob(f"*/{results.FILE}")
    told = [(path, results.read(path.parent)) for path in cells]
    return {path.parent.name: (path.stat().st_mtime_ns, r.durations_s) for path, r in told if r.status == "finished"}


def compared(before: dict[str, Any], now: dict[str, Any]) -> tuple[int, int]:
    """(lost, repeated) cells; times that are taken anew at a sweep's end leave the seconds of the steps."""
    lost = sum(name not in now for name in before)
    return lost, sum(name in now and now[name][1] != seconds for name, (_, seconds) in before.items())


def tried(kind: str, kills: int, scratch: Path, moments: random.Random) -> dict[str, Any]:
    """Kills a sweep of this kind so many times."""
    line = LINES[kind]
    whole = workload.make(scratch / f"{kind}-whole")
    began = time.monotonic()
    ended = workload.command(whole, line)
    longest = time.monotonic() - began
    if ended.code:
        raise SystemExit(ended.said)
    rows = workload.rows(whole)
    counts = {"kills": 0, "sweeps": 0, "lost": 0, "repeated": 0, "other_rows": 0, "failed": 0, "half_written": 0}
    cells_at_kill = []
    folder, before = workload.make(scratch / f"{kind}-0"), {}
    while True:
        done = counts["kills"] >= kills
        child = start(folder, line)
        deadline = time.monotonic() + (3600 if done else moments.uniform(0.05, longest))
        ended, status = os.waitpid(child, os.WNOHANG)
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            counts["kills"] += 1
        now = finished(folder)
        lost, repeated = compared(before, now)
        counts["lost"] += lost
        counts["repeated"] += repeated
        before = now
        if not ended:
            cells_at_kill.append(len(now))
            continue
        counts["sweeps"] += 1
        counts["failed"] += status != 0
        counts["other_rows"] += workload.rows(folder) != rows
        left = workload.half_written(folder)
        counts["half_written"] += len(left)
        if left:
            print(f"{kind}: left behind: {', '.join(left)}", file=sys.stderr, flush=True)
        if done:
            break
        shutil.rmtree(folder)
        folder, before = workload.make(scratch / f"{kind}-{counts['sweeps']}"), {}
    return {**counts, "cells_finished_at_each_kill": cells_at_kill, "undisturbed_s": round(longest, 1)}


def main() -> None:
    """Kills them all and writes the result."""
    parser = result.parser("kills", __doc__)
    parser.add_argument("--kills", type=int, default=50, help="in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=LINES, help="kills this kind of sweep alone")
    asked = parser.parse_args()
    workload.imports()
    began = time.time()
    moments = random.Random(asked.seed)  # noqa: S311 - not for secrets
    shares = {"grid": asked.kills * 2 // 5, "optuna": asked.kills * 2 // 5}
    shares["joblib"] = asked.kills - sum(shares.values())
    shares = {asked.only: asked.kills} if asked.only else shares
    with tempfile.TemporaryDirectory(prefix="kd_lab_kills_") as scratch:
        found = {kind: tried(kind, kills, Path(scratch), moments) for kind, kills in shares.items()}
    bad = ("lost", "repeated", "other_rows", "failed", "half_written")
    wrong = [{kind: {name: told[name] for name in bad}} for kind, told in found.items() if any(told[n] for n in bad)]
    result.finish("kills", found, wrong, asked.to, began)


if __name__ == "__main__":
    main()
