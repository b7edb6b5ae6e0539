"""Draws what distillation is worth: each student from labels alone to distilled, beside its teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.core.nested import at
from kd_lab.report.figures import style
from kd_lab.report.study import measures
from kd_lab.report.study.accuracy import spread
from kd_lab.report.study.comparisons import points
from kd_lab.report.study.gain import Gain
from kd_lab.report.study.measures import ACCURACY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kd_lab.report.study.settings import Setting

_ROW = 0.95  # inches a student


def draw(gains: Sequence[Gain], stem: Path, of: str = "") -> list[Path]:
    """Writes the accuracy of each student with labels alone and distilled, and the difference, as PNG and SVG.

    Bars are 95 % intervals, over seeds where there are several, else over test rows; the figure at the arrow is that
    of the test in pairs. The line is the teacher's accuracy, the band its interval.

    Args:
        gains: of one data set.
        stem: of the files' names.
        of: follows "worth" in the title, such as " on clinc".

    Returns:
        The files; none where there is no gain to show.
    """
    if not gains:
        return []
    with style.figure_style():
        figure = style.new_figure(7.6, 1.5 + _ROW * len(gains))
        ax = figure.subplots()
        teachers = _teachers(ax, gains)
        means = [100 * found.mean for one in gains for side in (one.baseline, one.distilled) if (found := spread(side))]
        near = 0.2 * (max(means, default=0) - min(means, default=0))
        for row, gain in enumerate(gains):
            _student(ax, -row, gain, near)
        style.name_rows(ax, [style.wrap(gain.student, 18) for gain in gains], below=0.35, above=0.75)
        ax.margins(x=0.08)
        ax.set_xlabel("test accuracy, %")
        style.title(figure, f"What distillation is worth{of}")
        style.caption(figure, _caption(gains, teachers))
        return style.save(figure, stem)


def _student(ax: Axes, row: float, gain: Gain, near: float) -> None:
    """One student; points nearer to each other than `near` have their words on their outer sides."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2.5, foreground="white")]
    sides = [("labels alone", style.QUIET, spread(gain.baseline)), ("distilled", style.ACCENT, spread(gain.distilled))]
    ends = [100 * found.mean for _, _, found in sides if found is not None]
    outer = [("right", "left"), ("left", "right")][ends[0] > ends[-1]]
    places = outer if abs(ends[0] - ends[-1]) < near else ("center", "center")
    for (name, colour, found), place in zip(sides, places, strict=True):
        if found is None:
            continue
        if found.low is not None and found.high is not None:
            ax.hlines(row, 100 * found.low, 100 * found.high, color=colour, lw=2.2, zorder=4)
        ax.plot(100 * found.mean, row, "o", ms=8, color=colour, mec="white", mew=0.8, zorder=5)
        ax.annotate(
            f"{name}\n{100 * found.mean:.1f} %", (100 * found.mean, row), (0, -9), textcoords="offset points",
            ha=place, va="top", fontsize=8, color=colour, path_effects=halo, zorder=6,
        )  # fmt: skip
    ax.annotate(
        "", (ends[-1], row + 0.26), (ends[0], row + 0.26),
        arrowprops={"arrowstyle": "-|>", "color": style.INK, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}, zorder=3,
    )  # fmt: skip
    ax.annotate(
        points(gain.comparison, " points"), (sum(ends) / 2, row + 0.26), (0, 3), textcoords="offset points",
        ha="center", va="bottom", fontweight="bold", path_effects=halo, zorder=6,
    )  # fmt: skip


def _teachers(ax: Axes, gains: Sequence[Gain]) -> list[str]:
    """Draws each distinct teacher, and tells of it for the caption."""
    cells = {str(cell.teacher.get("fingerprint")): cell for gain in gains for cell in gain.distilled.cells}
    told = []
    for cell in cells.values():
        score = at(cell, f"teacher.{ACCURACY.path}")
        if score is None:
            continue
        ax.axvline(100 * score, color=style.STAR, lw=1.2, zorder=2)
        low, high = at(cell, f"teacher.{ACCURACY.path}_interval") or (score, score)
        ax.axvspan(100 * low, 100 * high, color=style.STAR, alpha=0.12, lw=0, zorder=1)
        told.append(f"{cell.teacher.get('model')} {100 * score:.1f} % [{100 * low:.1f}, {100 * high:.1f}]")
    return told


def _caption(gains: Sequence[Gain], teachers: Sequence[str]) -> list[str]:
    settings: list[Setting] = [setting for gain in gains for setting in (gain.baseline, gain.distilled)]
    rows = measures.smallest_split(settings)
    lines = [f"Line and band: the teacher, {'; '.join(teachers)}."] if teachers else []
    lines.append("Points: distilled less labels alone, tested in pairs on the same rows, with its 95 % interval.")
    cells = [cell for gain in gains for cell in gain.distilled.cells]
    if unlabelled := max((cell.teacher.get("unlabelled") or 0 for cell in cells), default=0):
        lines.append(
            f"Distilled students learned from {unlabelled:,} rows more, without a label, judged by the teacher."
        )
    return [*lines, f"Bars: 95 % intervals on {rows:,} test rows." if rows else "Bars: 95 % intervals."]
