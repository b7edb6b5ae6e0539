"""The table of what was measured on a GPU, for README.md; `python -m experiments.speed.table` puts it there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.speed import result
from kd_lab.core.tables import to_markdown

BEGIN, END = "<!-- table on a GPU: made by `python -m experiments.speed.table` -->", "<!-- end of table on a GPU -->"
COLUMNS = ("what", "ours", "its share of the matrix rate", "against", "its share", "ratio", "command")
STUDENT, TEACHER = "one student in batches of 48", "the teacher's outputs"
LONG, LSTM = "the same, IMDB at 128 tokens", "`lstm_attention`, IMDB at 128 tokens"
ROWS = (  # benchmark, what, figure, its unit, job, against
    ("student", STUDENT, "examples_per_s", "examples/s", "ours", "a"),
    ("student", STUDENT, "examples_per_s", "examples/s", "ours", "b"),
    ("student", STUDENT, "examples_per_s", "examples/s", "ours", "bare"),
    ("student", STUDENT, "examples_per_s", "examples/s", "ours", "eager"),
    ("imdb/student", LONG, "examples_per_s", "examples/s", "ours", "b"),
    ("imdb/student", LONG, "examples_per_s", "examples/s", "ours", "bare"),
    ("lstm", LSTM, "examples_per_s", "examples/s", "ours", "b"),
    ("lstm", LSTM, "examples_per_s", "examples/s", "ours", "bare"),
    ("teacher_outputs", TEACHER, "rows_per_s", "rows/s", "ours", "bare"),
    ("side_by_side", "2 students side by side", "examples_per_s", "examples/s", "2", "1"),
    ("side_by_side", "4 students side by side", "examples_per_s", "examples/s", "4", "1"),
    ("side_by_side", "8 students side by side", "examples_per_s", "examples/s", "8", "1"),
)

_REPEATS = re.compile(r" --to \S+")  # where a result lies does not matter to who repeats it


def render(folder: Path) -> str:
    """The table, and lines that say on what it was measured.

    Args:
        folder: with a folder for each benchmark.
    """
    there = {name: folder / name / result.FILE for name in dict.fromkeys(row[0] for row in ROWS)}
    found = {name: result.read(path) for name, path in there.items() if path.is_file()}
    rows = [_row(found.get(row[0]), *row) for row in ROWS]
    table = to_markdown(COLUMNS, rows, words=range(len(COLUMNS)))
    return table + "".join(f"\n{line}\n" for name, one in found.items() for line in _about(name, one))


def _row(
    found: dict[str, Any] | None, benchmark: str, what: str, figure: str, unit: str, job: str, against: str
) -> list[str]:
    ratio = found["ratios"].get(f"{job} / {against}") if found else None
    if found is None or ratio is None:
        command = f"`python -m experiments.speed.{benchmark.rpartition('/')[2]} --gpu`"
        return [what, "not run", "-", against, "-", "-", command]
    medians, shares = found["medians"], found["figures"].get("matrix_share", {})

    def share(of: str) -> str:
        return f"{100 * shares[of]:.1f} %" if of in shares else "-"

    spread = f"{ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
    spread += " (contended)" if found["contended"] else ""
    other = f"{against}: {medians[against][figure]:.0f} {unit}"
    mine = f"{medians[job][figure]:.0f} {unit}"
    return [what, mine, share(job), other, share(against), spread, f"`{_REPEATS.sub('', found['command'])}`"]


def _about(name: str, found: dict[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    rates = " and ".join(f"{rate:.0f}" for rate in found["figures"].get("matrix_tflops", []))
    yield (
        f"{name}: {machine['device']}, {machine['cores']} cores, torch {found['versions']['torch']}; bf16 matrix rate "
        f"{rates} TFLOP/s; rounds: {len(found['rounds'])}; commit {result.told_commit(found)}, "
        f"{found['date'][:10]}."
    )
