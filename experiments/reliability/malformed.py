"""Malformed files and texts, read by kd_lab: each ends well or in one clear line, and nothing is left behind.

    python -m experiments.reliability.malformed --examples 500

Every example is a file that hypothesis made of a sound one (see `broken`); it is given to the lowest public functions
that read its kind (see `malformed_kinds`) and, where a command reads it at once, to that command in this process.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, settings

from experiments.reliability import result
from experiments.reliability.malformed_kinds import Kind, kinds
from experiments.speed.peak import peak_mib
from kd_lab.__main__ import command
from kd_lab.core.errors import UserError

SUCCESS, REFUSED, TRACEBACK, LEFT = "success", "exit 2", "traceback", "left behind"


@dataclass(frozen=True)
class Outcome:
    """What became of a file.

    Args:
        what: one of SUCCESS, REFUSED, TRACEBACK and LEFT.
        said: the line, the traceback, or what was left.
        seconds: that it took.
        mib: by which the process's largest memory grew.
    """

    what: str
    said: str
    seconds: float
    mib: float


def examples(kind: Kind, number: int) -> list[bytes]:
    """That many contents of the broken file, the same in every run."""
    found: list[bytes] = []

    @settings(
        max_examples=number, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(kind.broken(kind.files[kind.file]))
    def keep(content: bytes) -> None:
        found.append(content)

    keep()
    return found


def by_reader(kind: Kind, content: bytes) -> Outcome:
    """What the public functions make of it."""

    def read(folder: Path) -> tuple[str, str]:
        try:
            kind.read(folder)
        except UserError as error:
            return _one_line(str(error))
        return SUCCESS, ""

    return _tried(kind, content, read)


def by_command(kind: Kind, content: bytes) -> Outcome:
    """What the command makes of it."""
    assert kind.line is not None

    def run(folder: Path) -> tuple[str, str]:
        given_input, err = io.TextIOWrapper(io.BytesIO(content if kind.by_stdin else b"")), io.StringIO()
        with (
            patch.object(sys, "stdin", given_input),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(err),
        ):
            code = command(kind.line(folder))  # type: ignore[misc]
        said = err.getvalue()
        if "Traceback" in said or code not in (0, 2):
            return TRACEBACK, f"exit {code}: {said}"
        lines = [line for line in said.splitlines() if line.startswith("kd-lab: ")]
        return (SUCCESS, "") if code == 0 else _one_line("\n".join(lines))

    return _tried(kind, content, run)


def _one_line(said: str) -> tuple[str, str]:
    """A mistake in one line that is not without end, or what is wrong with it."""
    plain = said.isprintable() and ": expected " in said and ", got " in said and len(said) < 3000
    return (REFUSED, said) if plain else (TRACEBACK, f"no clear line: {said[:2000]!r}")


def _tried(kind: Kind, content: bytes, read: Any) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="kd_lab_malformed_") as name, _working_in(Path(name) / "work"):
        folder = Path(name) / "given"
        for file, sound in kind.files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content if file == kind.file else sound)
        before, peak, start = _there(Path(name)), peak_mib(), time.perf_counter()
        try:
            what, said = read(folder)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a panic of a library in Rust is no Exception
            what, said = TRACEBACK, "".join(traceback.format_exception(error))
        seconds, mib = time.perf_counter() - start, peak_mib() - peak
        left = sorted(_there(Path(name)) - before)
        if what == REFUSED and left:
            what, said = LEFT, ", ".join(left)
    return Outcome(what, said, seconds, mib)


def _there(folder: Path) -> set[str]:
    """All files and folders but kd_lab's cache, which may keep what is whole."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "cache" not in path.parts}


@contextlib.contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    folder.mkdir()
    with contextlib.chdir(folder), patch.dict(os.environ, KD_LAB_CACHE=str(folder.parent / "cache")):
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries them, writes the result and says what went wrong.

    Returns:
        exit code: 0, or 1 where a file led to a traceback or left something behind.
    """
    parser = result.parser("malformed", __doc__)
    parser.add_argument("--examples", type=int, default=500, help="files in all, spread over the kinds")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    options = parser.parse_args(arguments)
    start, outcomes = time.perf_counter(), {}
    with tempfile.TemporaryDirectory(prefix="kd_lab_sound_") as scratch:
        chosen = {name: kind for name, kind in kinds(Path(scratch)).items() if options.only in name}
        for place, (name, kind) in enumerate(chosen.items()):
            more = place < options.examples % len(chosen)
            outcomes[name] = _tried_all(kind, options.examples // len(chosen) + more)
            print(f"{name}: {dict(Counter(one.what for pair in outcomes[name] for one in pair))}", flush=True)
    wrong = [(name, one) for name, pairs in outcomes.items() for pair in pairs for one in pair if one.what in _WRONG]
    for name, one in wrong:
        print(f"--- {name}: {one.what}\n{one.said[-2000:]}")
    figures = {**_figures(outcomes), "seconds": round(time.perf_counter() - start, 1), "note": _NOTE}
    told = [{"kind": name, "what": one.what, "said": one.said[-2000:]} for name, one in wrong]
    result.write("malformed", {"examples": options.examples, "kinds": len(chosen), **figures}, told, options.to)
    return 1 if wrong else 0


_WRONG = (TRACEBACK, LEFT)
_NOTE = (
    "each file is given to the public functions that read its kind, and to the command that reads it at once; to a"
    " command that would train, only what those functions refuse"
)


def _tried_all(kind: Kind, number: int) -> list[list[Outcome]]:
    """For each file what its readers made of it and, where one was asked, its command."""
    found = []
    for content in examples(kind, number):
        pair = [by_reader(kind, content)]
        if kind.line is not None and (kind.at_once or pair[0].what == REFUSED):
            pair.append(by_command(kind, content))
        found.append(pair)
    return found


def _figures(outcomes: Mapping[str, Sequence[Sequence[Outcome]]]) -> dict[str, Any]:
    pairs = [pair for found in outcomes.values() for pair in found]
    every = [one for pair in pairs for one in pair]
    worst = {name: Counter(_worst(pair) for pair in found) for name, found in outcomes.items()}
    return {
        "files": len(pairs),
        "by_command": sum(len(pair) > 1 for pair in pairs),
        "outcomes": {what: sum(counts[what] for counts in worst.values()) for what in (REFUSED, SUCCESS, *_WRONG)},
        "longest_s": round(max(one.seconds for one in every), 2),
        "largest_growth_mib": round(max(one.mib for one in every)),
        "kinds": {name: dict(counts) for name, counts in worst.items()},
    }


def _worst(pair: Sequence[Outcome]) -> str:
    """What a file counts as: its worst outcome."""
    return min((one.what for one in pair), key=(TRACEBACK, LEFT, REFUSED, SUCCESS).index)


if __name__ == "__main__":
    sys.exit(main())
