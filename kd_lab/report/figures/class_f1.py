"""Draws F1 class by class, sorted, so that one sees where a model fails."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.report.figures import style
from kd_lab.report.study.class_report import TEST, ClassReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from kd_lab.evaluation.per_class import ClassFigures

NAMED = 30  # classes that have a bar with a name
_BAR = 0.24  # inches


def draw(report: ClassReport | None, stem: Path, of: str = "") -> list[Path]:
    """Writes F1 on test of each class as PNG and SVG, the worst on top; of many classes the worst by name.

    Then a second panel has all of them, as thin bars by their place.

    Args:
        report: of one cell.
        stem: of the files' names.
        of: ends the title, such as " on clinc".

    Returns:
        The files; none where there is no report.
    """
    if report is None:
        return []
    from kd_lab.evaluation.glyphs import fonts_for

    classes = report.splits[TEST]
    named = classes[:NAMED]
    with style.figure_style():
        families, names = fonts_for([style.shorten(report.name(one.number)) for one in named])
        figure = style.new_figure(7.6, 1.3 + _BAR * max(len(named), 4))
        many = len(classes) > len(named)
        left, *right = figure.subplots(1, 2, width_ratios=[3, 2]) if many else [figure.subplots()]
        _bars(left, named)
        left.set_yticks(range(len(named)), names, family=families)
        if right:
            right[0].barh(range(len(classes)), [100 * one.f1 for one in classes], height=1.0, color=style.ACCENT)
            right[0].set_ylim(len(classes) - 0.5, -0.5)
            right[0].set_xlim(0, 100)
            right[0].set_xlabel("F1 on test, %")
            right[0].set_ylabel(f"all {len(classes)} classes, the worst on top")
        style.title(figure, f"F1 by class{of}")
        style.caption(figure, _caption(report, len(named)))
        return style.save(figure, stem)


def _bars(ax: Axes, classes: Sequence[ClassFigures]) -> None:
    ax.barh(range(len(classes)), [100 * one.f1 for one in classes], height=0.72, color=style.ACCENT)
    for place, one in enumerate(classes):
        inside = one.f1 > 0.8
        ax.annotate(
            f"{100 * one.f1:.1f}  ({one.support:,} rows)", (100 * one.f1, place), (-4 if inside else 4, 0),
            textcoords="offset points", ha="right" if inside else "left", va="center", fontsize=7.5,
            color="white" if inside else style.QUIET,
        )  # fmt: skip
    ax.set_ylim(len(classes) - 0.4, -0.6)
    ax.set_xlim(0, 100)
    ax.set_xlabel("F1 on test, %")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", lw=0.7)


def _caption(report: ClassReport, named: int) -> list[str]:
    classes = report.splits[TEST]
    lines = [f"{report.label}, {report.why}."]
    lines.append(f"{len(classes)} classes, {sum(one.support for one in classes):,} rows of test.")
    if named < len(classes):
        lines.append(f"Left: the {named} of the lowest F1.")
    return lines
