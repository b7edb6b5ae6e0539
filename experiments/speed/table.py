"""Writes the tables of figures into README.md, from the result.json of each benchmark; a number stands nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.speed import gpu_table, result
from experiments.speed.targets import TARGETS, Result, Target
from kd_lab.core.paths import root
from kd_lab.core.tables import to_markdown

HERE = root() / "experiments" / "speed"
BEGIN, END = "<!-- table: made by `python -m experiments.speed.table` -->", "<!-- end of table -->"
COLUMNS = ("what", "ours", "against", "ratio", "target", "reached?", "command")
_UNITS = {
    "examples_per_s": "{:.0f} examples/s",
    "rows_per_s": "{:.0f} rows/s",
    "rows_per_cpu_s": "{:.0f} rows/s",
    "tokens_per_cpu_s": "{:.0f} pieces/s",
    "texts_per_s": "{:.0f} texts/s",
    "memory_mib": "{:.0f} MiB",
    "peak_mib": "{:.0f} MiB",
    "seconds": "{:.2f} s",
    "wall_s": "{:.0f} s",
    "classifiers": "{:.0f}",
    "accuracy": "{:.1%}",
}


def main() -> None:
    """Puts each table between its two marks in README.md."""
    path = HERE / "README.md"
    text = placed(path.read_text(encoding="utf-8"), render(HERE))
    put(path, placed(text, gpu_table.render(HERE / "gpu"), gpu_table.BEGIN, gpu_table.END))


def put(path: Path, text: str) -> None:
    """Writes a page; with `--check` behind the line it only says whether it is another, by exit code 1."""
    if "--check" not in sys.argv[1:]:
        path.write_text(text, encoding="utf-8")
        print(path)
    elif path.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{path} is not what the results make")


def placed(text: str, table: str, begins: str = BEGIN, ends: str = END) -> str:
    """The text with the table between the marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, begin, rest = text.partition(begins)
    _, end, after = rest.partition(ends)
    if not begin or not end:
        raise ValueError(f"expected {begins} and {ends}")
    return f"{before}{begins}\n{table}{ends}{after}"


def render(folder: Path) -> str:
    """The table, and lines that say on what it was measured.

    Args:
        folder: with a folder for each benchmark.
    """
    there = {target.benchmark: folder / target.benchmark / result.FILE for target in TARGETS}
    found = {name: result.read(path) for name, path in there.items() if path.is_file()}
    rows = [_row(target, found.get(target.benchmark)) for target in TARGETS]
    table = to_markdown(COLUMNS, rows, words=range(len(COLUMNS)))
    return table + "".join(f"\n{line}\n" for line in _about(found.values()))


def _row(target: Target, found: Result | None) -> list[str]:
    bounds = f"{'≥' if target.least else '≤'} {target.bound:g}"
    if target.beyond is not None:
        bounds += f" (beyond: {target.beyond:g})"
    if found is None or not {target.job, _side(target)} <= _amounts(target, found).keys():
        command = f"`python -m experiments.speed.{target.command or target.benchmark}`"
        return [target.what, "not run", target.against or "-", "-", bounds, "-", command]
    amounts = _amounts(target, found)
    against = f"{target.against}: {amounts[_side(target)]}" if target.against else "-"
    told = [target.what, amounts[target.job], against, _value(target, found)]
    return [*told, bounds, target.verdict(found), f"`{found['command']}`"]


def _side(target: Target) -> str:
    """The job that ours is held against; ours where there is none."""
    return target.against.partition(" ")[0] or target.job


def _amounts(target: Target, found: Result) -> dict[str, str]:
    """Job -> the target's figure, as it is printed; also of jobs whose hours were extrapolated."""
    there = {job: figures[target.figure] for job, figures in found["medians"].items() if target.figure in figures}
    there |= {job: 3600 * hours for job, hours in found["figures"].get("hours", {}).items()}
    return {job: _UNITS[target.figure].format(value) for job, value in there.items()}


def _value(target: Target, found: Result) -> str:
    middle, low, high = target.value(found)
    return f"{middle:.2f}" if low is None else f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def _about(results: Iterable[Result]) -> Iterator[str]:
    """What the figures were measured on; a line for each machine and commit."""
    told: dict[str, list[str]] = {}
    for one in results:
        machine = one["machine"]
        place = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB"
        place += f", torch {one['versions']['torch']}"
        told.setdefault(f"{place}; commit {result.told_commit(one)}, {one['date'][:10]}", []).append(one["benchmark"])
    for place, names in told.items():
        yield f"Measured on {place}: {', '.join(names)}."


if __name__ == "__main__":
    main()
