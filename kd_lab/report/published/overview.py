"""Two pictures over all studies, from what is committed: what distillation is worth, and ours beside published figures.

`gains.csv` beside a study's table holds its gains of distillation; published figures stand in the tables themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.core import tables
from kd_lab.core.reading import reading
from kd_lab.report.figures import style
from kd_lab.report.published import check_table, expected
from kd_lab.report.study import measures
from kd_lab.report.study.gain import Gain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAINS, TABLE = "gains.csv", "table.md"
_ROW = 0.3  # inches
_FARTHEST = 4.0  # tolerances that are shown


@dataclass(frozen=True)
class Difference:
    """A number with its interval, where there is one, and what it is of."""

    name: str
    value: float
    low: float | None
    high: float | None


def gains_csv(gains: Sequence[Gain]) -> str:
    """The gains of a study as fractions, a line a student; empty where there is none."""
    lines = [
        {
            "data_set": one.data_set,
            "student": one.student,
            "gain": one.comparison.difference,
            "low": one.comparison.low,
            "high": one.comparison.high,
            "runs": one.comparison.n,
        }
        for one in gains
    ]
    return tables.to_csv(lines) if lines else ""


def gains(experiments: Path) -> Sequence[Difference]:
    """Every committed gain, in points.

    Raises:
        UserError: a file is no table of gains.
    """
    found = []
    for path in sorted(experiments.rglob(GAINS)):
        name = path.parent.relative_to(experiments).as_posix()
        with reading(path, expected="gains of distillation", cure="Write it anew: kd-lab report NAME --keep."):
            lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), strict=True))
            several = len({line["data_set"] for line in lines}) > 1
            for line in lines:
                value, low, high = (100 * float(line[key]) for key in ("gain", "low", "high"))
                where = f"{line['data_set']}, " if several else ""
                found.append(Difference(f"{name}: {where}{line['student']}", value, low, high))
    return found


def published(experiments: Path) -> Sequence[Difference]:
    """Ours less theirs in tolerances, of every judged figure of every committed table; 0 where both are 0."""
    found = []
    for path in sorted(experiments.rglob(expected.FILE)):
        name, page = path.parent.relative_to(experiments).as_posix(), path.parent / TABLE
        for told in _judged(page.read_text(encoding="utf-8")) if page.is_file() else ():
            ours, theirs, unit = (_number(told[key]) for key in ("ours", "theirs", "tolerance"))
            if ours is None or theirs is None or unit is None or told["verdict"].startswith(expected.NOT_RUN):
                continue
            ends = [_number(text) for text in told["95 % interval"].split(" to ")]
            low, high = ends if len(ends) == 2 else (None, None)
            scaled = [None if one is None else (one - theirs) / (unit or 1) for one in (ours, low, high)]
            found.append(Difference(f"{name}: {told['column']}", scaled[0] or 0.0, scaled[1], scaled[2]))
    return found


def draw(experiments: Path) -> Sequence[Path]:
    """Writes gain.png and published.png into the folder, each where there is something to show."""
    drawn = []
    if worth := gains(experiments):
        words = "Distilled less labels alone, points of test accuracy, in pairs on the same rows; bars: 95 % intervals."
        drawn.append(_draw(worth, experiments / "gain", "What distillation is worth", "points", words, band=None))
    if held := published(experiments):
        words = (
            "Band: as published, within the tolerance that was written down first; bars: 95 % intervals, where known. "
        )
        words += "What lies beyond four tolerances stands at the edge."
        title = "Ours less the published figure, in tolerances"
        drawn.append(_draw(held, experiments / "published", title, "tolerances", words, band=1.0))
    return drawn


def _draw(found: Sequence[Difference], stem: Path, title: str, unit: str, words: str, band: float | None) -> Path:
    with style.figure_style():
        figure = style.new_figure(8.4, 1.2 + _ROW * len(found))
        ax = figure.subplots()
        if band:
            ax.axvspan(-band, band, color=style.GRID, lw=0, zorder=0)
        ax.axvline(0, color=style.INK, lw=0.9, zorder=1)
        for row, one in enumerate(found):
            _row(ax, -row, one, _FARTHEST if band else None)
        style.name_rows(ax, [style.shorten(one.name, 52) for one in found])
        if band:
            ax.set_xlim(-1.08 * _FARTHEST, 1.08 * _FARTHEST)
        ax.set_xlabel(unit)
        style.title(figure, title)
        style.caption(figure, [words])
        png, svg = style.save(figure, stem)
    svg.unlink()  # the page shows one of them
    return png


def _row(ax: Axes, row: float, one: Difference, farthest: float | None) -> None:
    from matplotlib.patheffects import withStroke

    def shown(value: float) -> float:
        return value if farthest is None else max(-farthest, min(farthest, value))

    if one.low is not None and one.high is not None:
        ax.hlines(row, shown(one.low), shown(one.high), color=style.ACCENT, lw=2.2, zorder=3)
    inside = shown(one.value) == one.value
    ax.plot(shown(one.value), row, "o" if inside else "D", ms=6, color=style.ACCENT if inside else style.STAR, zorder=4)
    if farthest is None:
        text = f"{one.value:+.1f}" + (f" [{one.low:+.1f}, {one.high:+.1f}]" if one.low is not None else "")
        halo = [withStroke(linewidth=2.5, foreground="white")]
        ax.annotate(
            text, (one.value, row), (0, 5), textcoords="offset points", ha="center", fontsize=8, path_effects=halo
        )


def _judged(page: str) -> Iterable[dict[str, str]]:
    """The lines of a check's table, by the names of its columns."""
    head = f"| {' | '.join(check_table.COLUMNS)} |"
    lines = page.partition(f"{head}\n")[2].partition("\n\n")[0].splitlines()[1:]
    for line in lines:
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if len(cells) == len(check_table.COLUMNS):
            yield dict(zip(check_table.COLUMNS, cells, strict=True))


def _number(text: str) -> float | None:
    return measures.number(text.partition(" ± ")[0].replace(",", ""))
