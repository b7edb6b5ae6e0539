"""Draws every setting of a study as one line through its options and its numbers."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kd_lab.core.tables import MISSING
from kd_lab.report.figures import style
from kd_lab.report.study import measures
from kd_lab.report.study.measures import ACCURACY, AGREEMENT, LATENCY, SIZE, VALIDATION, Measure
from kd_lab.report.study.settings import Setting, short_names, short_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEASURES = (ACCURACY, VALIDATION, AGREEMENT, SIZE, LATENCY)
STEPS = 10  # values of an option that stand apart at equal distances; more numbers get a scale
_LOG = 30.0  # largest over smallest number from which a scale is logarithmic
_BAND = 0.55  # of the distance between two values: what the lines through one of them fill
_FEW = 5  # distinct numbers that are marked themselves, instead of round ones
_NEAR = 0.045  # height of a mark's text
_NOWHERE = -0.1  # height of lines without the number


@dataclass(frozen=True)
class Column:
    """One vertical axis."""

    name: str
    unit: str
    heights: tuple[float | None, ...]  # one a setting, in [0, 1]; None where it has no such number
    ticks: tuple[tuple[float, str], ...]  # (height, text)


def drawable(settings: Sequence[Setting]) -> list[Setting]:
    """The settings that have a test accuracy, from the lowest up."""
    known = [(score, setting) for setting in settings if (score := measures.mean(setting, ACCURACY)) is not None]
    return [setting for _, setting in sorted(known, key=lambda pair: pair[0])]


def columns(settings: Sequence[Setting]) -> list[Column]:
    """The axes of `drawable` settings: swept options, then the numbers that any of them has.

    The lines through one value of an option are fanned out over a band, in the order of the settings, so that they can
    be told apart.
    """
    short = short_names(list(settings[0].values))
    found = [_option(settings, axis, short[axis]) for axis in settings[0].values]
    for measure in MEASURES:
        numbers = [measures.mean(setting, measure) for setting in settings]
        if any(number is not None for number in numbers):
            found.append(_scale(measure, numbers))
    return found


def draw(settings: Sequence[Setting], stem: Path, of: str = "") -> list[Path]:
    """Writes parallel coordinates as PNG and SVG, coloured by mean test accuracy; the best on validation is thick.

    Args:
        settings: of one data set.
        stem: of the files' names.
        of: follows the number of settings in the title, such as " on clinc".

    Returns:
        The files; none where fewer than two settings have an accuracy.
    """
    lines = drawable(settings)
    if len(lines) < 2:
        return []
    scores = np.array([measures.mean(setting, ACCURACY) for setting in lines], dtype=np.float64)
    chosen, axes = measures.best(lines), columns(lines)
    with style.figure_style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        figure = style.new_figure(1.6 + 1.45 * len(axes), 4.7)
        ax = figure.subplots()
        low, high = float(scores.min()), float(scores.max())
        colours = ScalarMappable(Normalize(low, high if high > low else low + 1), style.colormap())
        for place, setting in enumerate(lines):
            heights = [column.heights[place] for column in axes]
            _line(ax, heights, colours.to_rgba(scores)[place], setting is chosen)
        for place, column in enumerate(axes):
            _axis(ax, place, column)
        ax.set_xlim(-0.45, len(axes) - 0.85)
        ax.set_ylim(_NOWHERE - 0.05 if any(None in column.heights for column in axes) else -0.03, 1.03)
        ax.spines[:].set_visible(False)
        ax.set_yticks([])
        ax.xaxis.tick_top()
        ax.set_xticks(range(len(axes)), [_head(column) for column in axes], fontweight="bold")
        ax.tick_params(length=0, pad=8)
        bar = figure.colorbar(colours, ax=ax, label="mean test accuracy, %", shrink=0.86, aspect=26, pad=0.015)
        bar.outline.set_visible(False)
        style.title(figure, f"{len(lines)} settings{of}, from options to numbers")
        style.caption(figure, _caption(settings, lines, chosen))
        return style.save(figure, stem)


def _option(settings: Sequence[Setting], axis: str, name: str) -> Column:
    texts = [setting.values[axis] for setting in settings]
    values = measures.values(settings, axis)
    if measures.numeric(values) and len(values) > STEPS:
        return _scale(Measure(name, "", axis), [measures.number(text) for text in texts])
    middles = {value: (place + 0.5) / len(values) for place, value in enumerate(values)}
    heights = []
    for place, value in enumerate(texts):
        order, among = texts[:place].count(value), texts.count(value)
        fan = (order + 0.5) / among - 0.5
        heights.append(middles[value] + fan * _BAND / len(values))
    told = {value: "none" if value == MISSING else style.wrap(short_value(value), 18) for value in values}
    return Column(name, "", tuple(heights), tuple((middles[value], told[value]) for value in values))


def _scale(measure: Measure, numbers: Sequence[float | None]) -> Column:
    from matplotlib.ticker import LogLocator, MaxNLocator

    known = np.array([number for number in numbers if number is not None])
    low, high = float(known.min()), float(known.max())
    if low == high:
        flat = tuple(None if number is None else 0.5 for number in numbers)
        return Column(measure.name, measure.unit, flat, ((0.5, f"{low:.4g}"),))
    logarithmic = low > 0 and high / low >= _LOG
    apart = np.unique(known)
    if len(apart) <= _FEW:
        inside = [float(value) for value in apart]
    else:
        locator = LogLocator(subs=(1, 2, 5), numticks=8) if logarithmic else MaxNLocator(7, steps=[1, 2, 5, 10])
        inside = [float(mark) for mark in locator.tick_values(low, high) if low <= mark <= high] or [low, high]
    scaled = np.log if logarithmic else np.asarray

    def height(number: float) -> float:
        return float((scaled(number) - scaled(low)) / (scaled(high) - scaled(low)))

    unit = measure.unit + (" (log)" if logarithmic else "")
    heights = tuple(None if number is None else height(number) for number in numbers)
    ticks: list[tuple[float, str]] = []
    for mark in inside:
        if not ticks or height(mark) - ticks[-1][0] > _NEAR:
            ticks.append((height(mark), f"{mark:.4g}"))
    return Column(measure.name, unit.strip(), heights, tuple(ticks))


def _line(ax: Axes, heights: Sequence[float | None], colour: object, thick: bool) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Curve

    ys = [_NOWHERE if height is None else height for height in heights]
    points, codes = [(0.0, ys[0])], [Curve.MOVETO]
    for place, (left, right) in enumerate(pairwise(ys)):
        points += [(place + 0.5, left), (place + 0.5, right), (place + 1.0, right)]
        codes += [Curve.CURVE4] * 3
    curve = Curve(points, codes)
    for width, ink in ((5.5, "white"), (3.6, style.INK), (2.2, colour)) if thick else ((1.3, colour),):
        patch = PathPatch(
            curve, fill=False, edgecolor=ink, lw=width, alpha=1.0 if thick else 0.8, zorder=3 if thick else 2
        )
        ax.add_patch(patch)


def _axis(ax: Axes, place: int, column: Column) -> None:
    from matplotlib.patheffects import withStroke

    ax.plot([place, place], [0, 1], color=style.QUIET, lw=1, zorder=4, solid_capstyle="butt")
    nowhere = ((_NOWHERE, "none"),) if None in column.heights else ()
    for height, text in column.ticks + nowhere:
        ax.plot([place - 0.02, place + 0.02], [height, height], color=style.QUIET, lw=1, zorder=4)
        ax.text(
            place - 0.05, height, text, ha="right", va="center", fontsize=8, zorder=5,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )  # fmt: skip


def _head(column: Column) -> str:
    words = textwrap.wrap(style.shorten(column.name.replace("_", "_ "), 40), 15)
    return "\n".join([*(word.replace("_ ", "_") for word in words), *([column.unit] if column.unit else [])])


def _caption(settings: Sequence[Setting], lines: Sequence[Setting], chosen: Setting | None) -> list[str]:
    """The caption."""
    told = [
        "One line is one setting, its numbers means over seeds; lines through one value are fanned out by accuracy."
    ]
    if chosen is not None:
        told.append(f"Thick, best on validation: {chosen.label}, {measures.mean(chosen, ACCURACY):.1f} % on test.")
    if len(lines) < len(settings):
        told.append(f"Not drawn, without a result: {len(settings) - len(lines)} of {len(settings)} settings.")
    return [*told, *measures.timing(settings), *measures.noise(settings)]
