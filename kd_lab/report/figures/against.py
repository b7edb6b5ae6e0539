"""Draws what each setting is worth beside one: a point and its interval a setting, and the line of no difference."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from kd_lab.report.figures import style
from kd_lab.report.study import measures
from kd_lab.report.study.accuracy import percent, spread
from kd_lab.report.study.against import Against
from kd_lab.report.study.comparisons import LEVEL, points

_LETTERS, _LINES = 36, 3  # of a label
_ROW, _LINE = 0.14, 0.16  # inches a setting, and for each line of its label


def draw(found: Against, stem: Path) -> list[Path]:
    """Writes the differences, the largest gain first, as PNG and SVG.

    Returns:
        The files; none where nothing could be compared.
    """
    rows = [(one, one.comparison) for one in found.differences if one.comparison is not None]
    rows.sort(key=lambda one: -one[1].difference)
    if not rows:
        return []
    labels = [_lines(one.setting.label) for one, _ in rows]
    height = _ROW + _LINE * max(label.count("\n") + 1 for label in labels)
    with style.figure_style():
        figure = style.new_figure(7.6, 1.6 + height * len(rows))
        ax = figure.subplots()
        ax.axvline(0, color=style.STAR, lw=1.2, zorder=2)
        for row, (one, paired) in enumerate(rows):
            apart = one.p_corrected is not None and one.p_corrected < LEVEL
            colour = style.ACCENT if apart else style.QUIET
            ax.hlines(-row, 100 * paired.low, 100 * paired.high, color=colour, lw=2.2, zorder=4)
            ax.plot(100 * paired.difference, -row, "o", ms=7, color=colour, mec="white", mew=0.8, zorder=5)
            place = (1.01, -row)
            ax.annotate(points(paired), place, xycoords=("axes fraction", "data"), va="center", color=colour)
        style.name_rows(ax, labels)
        ax.set_xlabel("test accuracy, points more")
        style.title(figure, f"Against {found.reference.label}")
        number = measures.smallest_split([found.reference, *(one.setting for one, _ in rows)])
        on = f" on {number:,} test rows" if number else ""
        tested = f"Tested in pairs{on}; bars: 95 % intervals. Grey: not told apart (corrected p ≥ {LEVEL})."
        style.caption(figure, [f"{found.reference.label}: {percent(spread(found.reference))}.", tested])
        return style.save(figure, stem)


def _lines(label: str) -> str:
    """A label on a few lines, broken between its options."""
    return fill(label, _LETTERS, break_on_hyphens=False, max_lines=_LINES, placeholder=" …")
