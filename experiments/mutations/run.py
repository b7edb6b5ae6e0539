"""Breaks the code in one place after the other, each in a copy of the checkout, and sees which tests notice.

    python -m experiments.mutations

Before the first break each test file runs on the code as it is: one that fails then says nothing, and is left out.
Tests that are slow or need the real data sets are left out too, wherever this runs.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess  # pytest with fixed arguments, no shell
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from rich.console import Console

from experiments.mutations.breaks import BREAKS, Break
from experiments.reliability import result
from kd_lab.core import tables
from kd_lab.core.paths import root
from kd_lab.core.progress import say

FOLDER = Path(__file__).parent
FILE = "result.json"
CAUGHT, SURVIVED, ERROR, ABSENT = "caught", "survived", "error", "not there"
_SAID = {0: SURVIVED, 1: CAUGHT}  # by pytest's exit code; any other, or none in time, is an error of the trial
_LIMIT_S = 900
_NOT_COPIED = (".git", ".venv", "multirun", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", ".coverage")
_NOT_PASSED = {"KD_LAB_SLOW", "KD_LAB_DATA", "CI"}  # what would have more tests run here than elsewhere
_LINE = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0")  # alike before and after
_IMPORTED = "import kd_lab, hydra_plugins.kd_lab as ours; print(kd_lab.__file__, ours.__file__, sep='\\n')"


class Tested(NamedTuple):
    """What pytest said of some files."""

    code: int | None  # its exit code; None where it did not end in time
    seconds: float
    last: str  # words of it


class Trial(NamedTuple):
    """What came of a break."""

    name: str
    file: str
    tests: Sequence[str]  # that were asked
    outcome: str
    seconds: float
    why: str = ""  # it is an error


Tests = Callable[[Sequence[str]], Tested]


def main() -> None:
    """Tries what the command line says; exit code 1 where a break was not caught."""
    options = _options()
    chosen = [one for one in BREAKS if not options.only or any(word in one.name + one.file for word in options.only)]
    if not chosen:
        sys.exit("no break has such words in its name or file: --list shows them")
    out = Console(width=None if Console().is_terminal else 180)
    if options.list:
        out.print(tables.to_rich("", ("break", "file", "tests"), map(_described, chosen), words=range(3)))
        return
    with copied(options.root.resolve()) as copy:
        trials, unbroken = tried(copy, chosen, lambda files: tested(copy, files))
    lines = [(one.name, one.file, one.outcome, f"{one.seconds:.1f}") for one in trials]
    caption = ", ".join(f"{count} {outcome}" for outcome, count in Counter(one.outcome for one in trials).items())
    table = tables.to_rich("", ("break", "file", "outcome", "s"), lines, words=range(3), caption=caption)
    out.print(table)
    if options.to or not options.only:  # a few of them are no result
        print(write(options.to or FOLDER, options.root, trials, unbroken))
    sys.exit(any(one.outcome != CAUGHT for one in trials))


def tried(copy: Path, breaks: Sequence[Break], run: Tests) -> tuple[list[Trial], dict[str, Tested]]:
    """(what came of each break, what each test file says of the code as it is).

    Args:
        copy: of a checkout; as it was, afterwards.
        run: asks test files, by their paths below tests/.
    """
    unbroken = {}
    for file in dict.fromkeys(file for one in breaks for file in one.tests):
        unbroken[file] = run([file])
        if unbroken[file].code != 0:
            say(f"left out: tests/{file} does not pass on the code as it is: {unbroken[file].last}")
    trials = []
    for number, one in enumerate(breaks, start=1):
        trials.append(_trial(copy, one, [file for file in one.tests if unbroken[file].code == 0], run))
        say(f"{number} of {len(breaks)}: {one.name}: {trials[-1].outcome}, {trials[-1].seconds:.1f} s")
    return trials, unbroken


def _trial(copy: Path, one: Break, files: Sequence[str], run: Tests) -> Trial:
    path = copy / one.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    broken = one.applied(text)
    if broken is None:
        return Trial(one.name, one.file, files, ABSENT, 0.0)
    if not files:
        return Trial(one.name, one.file, files, ERROR, 0.0, "none of its tests passes on the code as it is")
    before = path.stat()
    path.write_text(broken, encoding="utf-8")
    try:
        found = run(files)
    finally:
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # what was compiled of it holds again
    outcome = _SAID.get(-1 if found.code is None else found.code, ERROR)
    return Trial(one.name, one.file, files, outcome, found.seconds, found.last if outcome == ERROR else "")


@contextmanager
def copied(checkout: Path) -> Iterator[Path]:
    """A copy of a checkout, from which its tests import; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="kd_lab_mutations_") as folder:
        copy = Path(folder, "checkout").resolve()
        shutil.copytree(checkout, copy, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))
        line = [sys.executable, "-c", _IMPORTED]
        there = subprocess.run(line, cwd=copy, env=_environment(copy), capture_output=True, text=True, check=True)  # noqa: S603
        for file in there.stdout.split():
            assert Path(file).is_relative_to(copy), f"the tests would import {file}, which nobody breaks"
        yield copy


def tested(copy: Path, files: Sequence[str]) -> Tested:
    """Runs test files of a copy, to the first test that fails."""
    line, start = [sys.executable, *_LINE, *(f"tests/{file}" for file in files)], perf_counter()
    try:
        done = subprocess.run(  # noqa: S603
            line, cwd=copy, env=_environment(copy), capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return Tested(None, perf_counter() - start, f"not done after {_LIMIT_S} s")
    return Tested(done.returncode, perf_counter() - start, " ".join((done.stdout + done.stderr).split())[-300:])


def write(folder: Path, checkout: Path, trials: Sequence[Trial], unbroken: dict[str, Tested]) -> Path:
    """Writes `folder/result.json`.

    Args:
        checkout: whose code was broken.
        trials: what came of each break.
        unbroken: what each test file says of the code as it is.
    """
    outcomes = Counter(one.outcome for one in trials)
    told = {
        "figures": {"breaks": len(trials), **{name: outcomes[name] for name in (CAUGHT, SURVIVED, ERROR, ABSENT)}},
        "tests": {file: _plain(one) for file, one in unbroken.items()},
        "breaks": [_plain(one) for one in trials],
    }
    return result.save(folder / FILE, f"experiments.mutations {shlex.join(sys.argv[1:])}".rstrip(), checkout, told)


def _plain(one: Tested | Trial) -> dict[str, Any]:
    return {**one._asdict(), "seconds": round(one.seconds, 1)}


def _described(one: Break) -> tuple[str, str, str]:
    return one.name, one.file, ", ".join(one.tests)


def _environment(copy: Path) -> dict[str, str]:
    """Everything is imported from the copy; one thread, as in `make test`."""
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED}
    return {**kept, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}


def _options() -> argparse.Namespace:
    text, raw = sys.modules[__name__].__doc__, argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m experiments.mutations", description=text, formatter_class=raw)
    parser.add_argument("--list", action="store_true", help="show the breaks and try none")
    parser.add_argument("--only", action="append", metavar="WORDS", help="those with these words in name or file")
    parser.add_argument("--root", type=Path, default=root(), help="the checkout whose code and tests are taken")
    parser.add_argument("--to", type=Path, help=f"the folder of {FILE} (default here, and none with --only)")
    return parser.parse_args()
