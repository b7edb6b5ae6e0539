"""Writes the table of README.md from `result.json` and, of the tests as they were before, `before/result.json`.

python -m experiments.mutations.table
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.mutations.breaks import BREAKS
from experiments.mutations.run import CAUGHT, FILE, FOLDER
from experiments.speed import table as speed
from experiments.speed.result import told_commit
from kd_lab.core.tables import to_markdown

BEGIN = "<!-- table: made by `python -m experiments.mutations.table` -->"
END = "<!-- end of table -->"
COLUMNS = ("what is wrong", "file", "tests", "before", "now")
NOT_RUN = "not run"
Told = Mapping[str, Any] | None  # a result.json; None where there is none


def main() -> None:
    """Puts the table between its two marks in README.md."""
    path = FOLDER / "README.md"
    speed.put(path, placed(path.read_text(encoding="utf-8")))


def placed(text: str) -> str:
    """The text with the table between its marks."""
    return speed.placed(text, render(read(FOLDER / "before" / FILE), read(FOLDER / FILE)), BEGIN, END)


def read(path: Path) -> Told:
    """A result, or None where there is none."""
    told: Told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return told


def render(before: Told, now: Told) -> str:
    """A row a break, and a last one that counts those that were caught."""
    columns = [_outcomes(before), _outcomes(now)]
    rows = [
        (one.name, f"`{one.file}`", ", ".join(one.tests), *(found.get(one.name, NOT_RUN) for found in columns))
        for one in BREAKS
    ]
    return to_markdown(COLUMNS, [*rows, ("**caught**", "", "", _caught(before), _caught(now))], words=range(5))


def _outcomes(told: Told) -> dict[str, str]:
    return {one["name"]: one["outcome"] for one in told["breaks"]} if told else {}


def _caught(told: Told) -> str:
    return f"{told['figures'][CAUGHT]} of {told['figures']['breaks']}, {told_commit(told)}" if told else NOT_RUN


if __name__ == "__main__":
    main()
