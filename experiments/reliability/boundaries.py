"""Death at every write, and a disk that fails at every write: each act on a file is found first, then tried.

    python -m experiments.reliability.boundaries            # killed just before each act, and after the last
    python -m experiments.reliability.boundaries --fail     # ENOSPC, EIO, EACCES and EMFILE at each
    python -m experiments.reliability.boundaries --fail --share 1/4    # a fourth of them: an evening each

Killed just after an act is killed just before the next: the disk holds the same. Of writes to one file that follow
each other, the first and the last are tried. Then the same line runs again, undisturbed, and must end with the same
rows as a run that nobody disturbed, in result.json and in MLflow.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from experiments.reliability import interpose, result, workload
from experiments.reliability.interpose import How
from experiments.reliability.workload import CELL, NAME, SWEEP, Ended
from kd_lab.core import contention
from kd_lab.core.progress import step

ERRORS = {"ENOSPC": How.FAIL_FROM, "EIO": How.FAIL_ONCE, "EACCES": How.FAIL_ONCE, "EMFILE": How.FAIL_ONCE}
KILLS = {"kill": How.KILL_BEFORE, "kill after": How.KILL_AFTER}
OPENS = ("open", "mkdir")  # what runs out of descriptors, or is forbidden
SYNC = ["report", NAME, "--sync"]


class Act(NamedTuple):
    """One act on a file."""

    number: int
    what: str
    path: str


class Story(NamedTuple):
    """A command that is disturbed."""

    name: str
    line: Sequence[str]
    before: Path  # the folder in which it starts
    after: dict[str, Any]  # rows of a run that nobody disturbed
    mirrored: dict[str, int]  # what MLflow holds then
    acts: Sequence[Act]


class Trial(NamedTuple):
    """What became of a disturbed command."""

    story: str
    act: Act
    how: str
    code: int
    wrong: str  # empty where all is as it must be


def stories(folder: Path) -> list[Story]:
    """A cell from nothing; a sweep over kept fits with its report; the mirroring of a sweep into MLflow."""
    store = workload.make(folder / "store")
    _do(store, [*SWEEP, "name=other", "seed=0,1"])  # makes the store: SQLite's own affair
    fitted = workload.copy(store, folder / "fitted")  # with the fits that its sweep finds
    shutil.rmtree(store / "cache")
    for place in (store, fitted):
        shutil.rmtree(place / "multirun" / "other")
    _do(fitted, SWEEP)
    for name in ("mlflow.db", "mlartifacts"):
        path, new = fitted / "multirun" / name, store / "multirun" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(new, path) if new.is_dir() else shutil.copyfile(new, path)
    swept = workload.copy(fitted, folder / "swept")
    shutil.rmtree(fitted / "multirun" / NAME)
    return [
        _story("cell", CELL, store, folder),
        _story("sweep", SWEEP, fitted, folder),
        _story("sync", SYNC, swept, folder),
    ]


def _do(folder: Path, line: Sequence[str], begin: Callable[[], object] = lambda: None) -> None:
    ended = workload.command(folder, line, begin)
    if ended.code:
        raise SystemExit(f"undisturbed, `kd-lab {' '.join(line)}` ended with {ended.code}:\n{ended.said}")


def _story(name: str, line: Sequence[str], before: Path, folder: Path) -> Story:
    whole = workload.copy(before, folder / f"whole-{name}")
    listed = folder / f"acts-{name}.tsv"
    log = os.open(listed, os.O_WRONLY | os.O_CREAT, 0o600)
    _do(whole, line, lambda: _begin(whole, How.LIST, log=log))
    os.close(log)
    acts = [Act(n, *text.split("\t")) for n, text in enumerate(listed.read_text(encoding="utf-8").splitlines())]
    _do(whole, SYNC)
    return Story(name, line, before, workload.rows(whole), mirrored(whole), acts)


def _begin(folder: Path, how: How, at: int = 0, error: int = 0, log: int = -1) -> None:
    """Counts acts from here on; times pass for undisturbed, or some runs would take them anew and have more acts."""
    contention.contended = lambda since: False
    interpose.begin(folder, how, at, error, log)


def told_apart(acts: Sequence[Act]) -> list[Act]:
    """The acts that are tried: of writes to one file in a row, the first and the last."""
    kept = []
    for _, group in itertools.groupby(
        acts, key=lambda act: (act.what, act.path if act.what == "write" else act.number)
    ):
        run = list(group)
        kept += [run[0]] + ([run[-1]] if len(run) > 1 else [])
    return kept


def mirrored(folder: Path) -> dict[str, int]:
    """Rows of the study in MLflow's tables; sweeps' own runs and those that failed or were deleted do not count."""
    with closing(sqlite3.connect(folder / "multirun" / "mlflow.db")) as store:
        alive = (
            "(SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active' AND status = 'FINISHED' AND run_uuid NOT IN"
        )
        alive += " (SELECT run_uuid FROM tags WHERE key = 'kd_lab.parent'))"  # a sweep's own run is told anew each time
        timed = "AND key NOT LIKE 'durations_s%' AND key NOT LIKE 'cost%'"  # told again when taken anew
        counted = {"runs": "", "metrics": timed, "params": ""}
        found = {
            name: store.execute(f"SELECT count(*) FROM {name} WHERE run_uuid IN {alive} {more}").fetchone()[0]  # noqa: S608
            for name, more in counted.items()
        }
        running = "SELECT count(*) FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active'"
        found["unfinished"] = store.execute(running).fetchone()[0]
    return found


def tried(story: Story, act: Act, how: str, scratch: Path) -> Trial:
    """Disturbs the command at one act, then runs it again."""
    folder = workload.copy(story.before, scratch / "tried")
    mode, error = (KILLS[how], 0) if how in KILLS else (ERRORS[how], getattr(errno, how))
    try:
        ended = workload.command(folder, story.line, lambda: _begin(folder, mode, act.number, error))
        killed = "" if ended.code == -9 else f"it was not killed: exit code {ended.code}"
        wrong = killed if how in KILLS else _failed(ended)
        again = workload.command(folder, story.line)
        wrong = wrong or (f"the next line ended with {again.code}: {again.said[-300:]}" if again.code else "")
        synced = workload.command(folder, SYNC)
        wrong = wrong or (f"--sync ended with {synced.code}: {synced.said[-300:]}" if synced.code else "")
        wrong = wrong or differs(folder, story.after, story.mirrored, failed=how not in KILLS)
        return Trial(story.name, act, how, ended.code, wrong)
    finally:
        shutil.rmtree(folder)


def differs(folder: Path, rows: Mapping[str, Any], counts: Mapping[str, int], *, failed: bool) -> str:
    """What the study has other than a run that nobody disturbed, or what lies about; empty where all is as it must be.

    Args:
        rows, counts: of such a run, see `workload.rows` and `mirrored`.
        failed: whether a disk did; what it did not let go of is the cache's to free.
    """
    if workload.rows(folder) != rows:
        return "other rows than of a run that nobody disturbed"
    if (found := mirrored(folder)) != counts:
        return f"MLflow holds {found}, not {counts}"
    if failed:
        workload.command(folder, ["cache", "gc", "--days", "0", "--root", str(folder / "cache")])
    left = workload.half_written(folder)
    return f"left behind: {left[0]} ({len(left)})" if left else ""


def _failed(ended: Ended) -> str:
    """A disk that failed: told in a line or gone round, and never a traceback."""
    if ended.traceback:
        return f"a traceback: {ended.said[-600:]}"
    if ended.code not in (0, 1, 2):
        return f"exit code {ended.code}: {ended.said[-600:]}"
    return f"exit code {ended.code} without a word" if ended.code and not ended.lines else ""


def plan(told: Sequence[Story], ways: Sequence[str]) -> list[tuple[Story, Act, str]]:
    """Every trial: which command, at which act, how."""
    found = []
    for story in told:
        acts = told_apart(story.acts)
        for how in ways:
            wanted = [act for act in acts if how not in ("EMFILE", "EACCES") or act.what in OPENS]
            found += [(story, act, how) for act in wanted]
        if "kill" in ways:
            found.append((story, acts[-1], "kill after"))
    return found


def main() -> None:
    """Tries them all, or a part chosen at random, and writes the result."""
    parser = result.parser("boundaries", __doc__)
    parser.add_argument("--fail", action="store_true", help="fail at each act instead of killing")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th trial")
    parser.add_argument("--share", type=_share, default=(1, 1), help="K/N: the K-th of N parts, written beside others")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--story", help="only this one")
    asked = parser.parse_args()
    interpose.preload()
    workload.imports()
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="kd_lab_boundaries_") as scratch:
        told = [one for one in stories(Path(scratch)) if asked.story in (None, one.name)]
        trials = plan(told, list(ERRORS) if asked.fail else ["kill"])[asked.every // 2 :: asked.every]
        share, shares = asked.share
        trials = trials[share - 1 :: shares]
        found = []
        with step("trials", len(trials)) as advance:
            for trial in _all(trials, asked.workers, Path(scratch)):
                found.append(trial)
                advance(1)
    figures = {
        "acts": {story.name: len(story.acts) for story in told},
        "acts_told_apart": {story.name: len(told_apart(story.acts)) for story in told},
        "kinds": {story.name: Counter(act.what for act in story.acts) for story in told},
        "tried": Counter(f"{trial.story}, {trial.how}" for trial in found),
        "exit_codes": Counter(str(trial.code) for trial in found),
    }
    row, file = "faults" if asked.fail else "deaths", result.name_of(share, shares)
    result.finish(row, figures, [trial._asdict() for trial in found if trial.wrong], asked.to, began, file)


def _all(trials: Sequence[tuple[Story, Act, str]], workers: int, scratch: Path) -> Iterator[Trial]:
    """Runs them in forks of this process."""
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        for done in as_completed([pool.submit(_one, *trial, scratch) for trial in trials]):
            yield done.result()


def _one(story: Story, act: Act, how: str, scratch: Path) -> Trial:
    own = scratch / f"worker-{os.getpid()}"
    own.mkdir(exist_ok=True)
    trial = tried(story, act, how, own)
    if trial.wrong:
        print(f"{story.name} {act} {how}: {trial.wrong}", file=sys.stderr, flush=True)
    return trial


def _share(text: str) -> tuple[int, int]:
    share, _, shares = text.partition("/")
    if not 1 <= int(share) <= int(shares):
        raise ValueError
    return int(share), int(shares)


if __name__ == "__main__":
    main()
