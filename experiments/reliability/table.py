"""Writes the table of README.md from the result.json of each row; a number stands nowhere else.

python -m experiments.reliability.table
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from experiments.reliability.result import FOLDER, NAME
from experiments.speed import table as speed
from experiments.speed.result import told_commit
from kd_lab.core.tables import to_markdown

BEGIN = "<!-- table: made by `python -m experiments.reliability.table` -->"
END = "<!-- end of table -->"
COLUMNS = ("what goes wrong", "what must hold", "tried", "wrong", "reached?", "command, commit")
Figures = Mapping[str, Any]


class Row(NamedTuple):
    """A row of the table."""

    name: str  # the folder of its result
    what: str
    must: str
    tried: Callable[[Figures], str]


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


def _kills(told: Figures) -> str:
    kinds = {kind: told[kind] for kind in ("grid", "joblib", "optuna")}
    parts = ", ".join(f"{kind} {found['kills']}" for kind, found in kinds.items())
    counts = {name: sum(found[name] for found in kinds.values()) for name in ("lost", "repeated", "other_rows")}
    return f"{sum(found['kills'] for found in kinds.values())} kills ({parts}); " + ", ".join(
        f"{count} {name.replace('_', ' ')}" for name, count in counts.items()
    )


def _acts(told: Figures) -> str:
    acts = ", ".join(f"{name} {count}" for name, count in told["acts"].items())
    return f"{_total(told['tried'])} trials{told.get('shares', '')}; acts on files: {acts}"


def _full_disk(told: Figures) -> str:
    sizes = f"{told['smallest_bytes'] // 1024:,} to {told['largest_bytes'] // 1024:,} KiB"
    return f"{told['disks']} disks of {sizes}: {told['full']} full, {told['told_in_a_line']} said so in a line"


def _together(told: Figures) -> str:
    several = [name for name, found in told.items() if isinstance(found, dict)]
    return f"{len(several)}: {', '.join(several)}"


def _tracking(told: Figures) -> str:
    total = told["all"]
    troubles = ", ".join(name for name in told if name not in ("all", "settings"))
    return f"{troubles}: {total['metrics']} metrics, {total['lost']} lost, {total['doubled']} doubled"


def _options(told: Figures) -> str:
    late = [line["seconds"] for line in told["commands"].values()]
    return (
        f"{told['options']} options, {told['values']} values, {_total(told['refused'])} refused, the others right for "
        f"their option; {len(late)} commands in {min(late):.1f} to {max(late):.1f} s"
    )


def _malformed(told: Figures) -> str:
    return f"{told['files']} files: " + ", ".join(f"{count} {what}" for what, count in told["outcomes"].items())


def _hostile(told: Figures) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in told["tried"].items())
    return f"{_total(told['tried'])} inputs ({kinds}), {told['refused']} refused"


ROWS = {
    one.name: one
    for one in (
        Row("kills", "kill -9 of the process group at random moments", "none lost or repeated, same rows", _kills),
        Row("deaths", "death at every act on a file", "the same line ends with the same row", _acts),
        Row("faults", "ENOSPC, EIO, EACCES, EMFILE at each", "a clear line, the next run finishes", _acts),
        Row("full_disk", "a disk that is really full", "a clear line, the next run finishes", _full_disk),
        Row("together", "at once; shared, read-only, elsewhere, tomorrow", "one teacher fit, whole results", _together),
        Row(
            "damage",
            "each file of an artifact: a bit, cut, emptied, removed",
            "found, set aside, made anew with a warning, same row",
            lambda told: f"{told['trials']} trials on {told['files']} files, {told['warned']} warned of",
        ),
        Row("tracking", "tracking server dead, killed, locked, deleted", "none lost or twice after --sync", _tracking),
        Row("options", "every option of conf/ with wrong values", "exit 2, one line that names all, in 5 s", _options),
        Row("malformed", "malformed files and texts", "no traceback, exit 2, nothing left", _malformed),
        Row("hostile", "made to run code, fill memory, reach out", "refused in a line, nothing run or read", _hostile),
    )
}


def main() -> None:
    """Puts the table between its two marks in README.md."""
    path = FOLDER / "README.md"
    speed.put(path, placed(path.read_text(encoding="utf-8")))


def placed(text: str) -> str:
    """The text with the table between its marks."""
    rows = [row(one, told(FOLDER / name)) for name, one in ROWS.items()]
    return speed.placed(text, to_markdown(COLUMNS, rows, words=range(len(COLUMNS))), BEGIN, END)


def told(folder: Path) -> Mapping[str, Any] | None:
    """The result in a row's folder, or its shares as one; None where it was not run."""
    read = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    shares = {name: one for name, one in read.items() if name != NAME}
    if not shares:
        whole: Mapping[str, Any] | None = read.get(NAME)
        return whole
    numbers = {int(name.rpartition("-")[2].removesuffix(".json")) for name in shares}
    if len(numbers) > 1:
        raise SystemExit(f"{folder}: shares of {sorted(numbers)} parts; keep those of one division")
    (number,) = numbers
    last = list(shares.values())[-1]
    tried: Counter[str] = Counter()
    for one in shares.values():
        tried.update(one["figures"]["tried"])
    part = "" if len(shares) == number else f", {len(shares)} of {number} shares"
    command = last["command"].partition(" --share")[0] + (f" --share K/{number}" if part else "")
    wrong = [trial for one in shares.values() for trial in one["wrong"]]
    return {**last, "command": command, "figures": {**last["figures"], "tried": tried, "shares": part}, "wrong": wrong}


def row(one: Row, told: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The cells of a row; one that was not run says so."""
    if told is None:
        return one.what, one.must, "not run", "-", "**not run**", "-"
    figures = told["figures"]
    wrong = len(told["wrong"])
    command = f"`{told['command']}`, {told_commit(told)}"
    reached = "**no**" if wrong else "in a sample" if re.search("--(every|share) ", command) else "yes"
    return one.what, one.must, one.tried(figures), str(wrong), reached, command


if __name__ == "__main__":
    main()
