"""Draws a frontier: accuracy against latency and against size, every model numbered, those that none beats joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_lab.core.tables import milliseconds
from kd_lab.report.figures import style
from kd_lab.report.release.frontier import BUSY, COSTS, TEACHER, UNCOMPRESSED, Frontier, cost
from kd_lab.report.study.data_sets import file_suffixes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXES = {"latency": "latency p50 of one query, ms (logarithmic)", "size": "size, MiB (logarithmic)"}
_QUIET = "#9aa3b0"
_MARKS = {TEACHER: ("*", 14.0), UNCOMPRESSED: ("s", 7.0)}  # role -> marker and size in points; the others are dots
_SPOTS = (  # of a number beside its point, the first of those with most room is taken
    (5, 4), (-5, 4), (5, -4), (-5, -4), (0, 8), (0, -8), (11, 0), (-11, 0), (13, 9), (-13, 9), (13, -9), (-13, -9),
)  # fmt: skip
_DEEP, _LEAST = 4.0, 3.0  # how far down accuracies are drawn: so often best less median, so many points at least
_HALF = (6.0, 5.0)  # half width and height of a number, points
Row = Mapping[str, Any]


def draw(frontier: Frontier, stem: Path) -> list[Path]:
    """Writes one figure a data set and split, PNG and SVG: `stem`, or `stem` and its name where there are several.

    Bars are 95 % intervals of the accuracy on the test rows. Models far below the rest stand at the lower edge.
    """
    sets = list(dict.fromkeys(str(row["data_set"]) for row in frontier.rows))
    ends, files = file_suffixes(sets), []
    for data_set in sets:
        rows = [row for row in frontier.rows if row["data_set"] == data_set]
        place = stem.with_name(f"{stem.name}{ends[data_set]}")
        busy = [BUSY] if frontier.timing["contended"] else []
        files += _figure(f"{frontier.name}: accuracy on {data_set} against latency and size", rows, place, busy)
    return files


def _figure(title: str, rows: Sequence[Row], stem: Path, notes: Sequence[str]) -> list[Path]:
    ranked = sorted(rows, key=lambda row: -row["accuracy"])
    with style.figure_style():
        figure = style.new_figure(11.0, 5.2)
        panels = figure.subplots(1, len(COSTS), sharey=True)
        floor = _floor(ranked)
        for ax, name in zip(panels, COSTS, strict=True):
            _panel(ax, ranked, name, floor)
        panels[0].set_ylabel("test accuracy, %")
        style.title(figure, title)
        style.caption(figure, [*_caption(ranked), *notes])
        figure.canvas.draw()  # numbers are placed by where points have come to lie
        for ax, name in zip(panels, COSTS, strict=True):
            _number(ax, ranked, name, floor)
        return style.save(figure, stem)


def _floor(ranked: Sequence[Row]) -> float:
    """Lowest accuracy that is drawn in its place, percent."""
    scores = [100 * row["accuracy"] for row in ranked]
    depth = max(_LEAST, _DEEP * (scores[0] - scores[len(scores) // 2]))
    return float(max(scores[-1], scores[0] - depth))


def _panel(ax: Axes, ranked: Sequence[Row], name: str, floor: float) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for row in sorted(ranked, key=lambda row: name in row["fronts"]):
        on, (x, y) = name in row["fronts"], _spot(row, name, floor)
        colour = style.STAR if row["role"] == TEACHER else style.ACCENT if on else _QUIET
        mark, size = _MARKS.get(row["role"], ("o", 6.5 if on else 5.0))
        if y > 100 * row["accuracy"]:  # it lies below what is drawn
            mark, size = "v", 6.0
        elif "accuracy_interval" in row:
            low, high = (100 * end for end in row["accuracy_interval"])
            ax.vlines(x, low, high, color=colour, lw=1.2 if on else 0.8, alpha=0.8 if on else 0.45, zorder=2 + on)
        ax.plot(x, y, mark, ms=size, color=colour, mec="white", mew=0.7, zorder=4 + on)
    line = sorted(_spot(row, name, floor) for row in ranked if name in row["fronts"])
    ax.plot(*zip(*line, strict=True), color=style.ACCENT, lw=1.2, alpha=0.6, zorder=3, drawstyle="steps-post")
    prices = [cost(row, name) for row in ranked]
    ax.set_xscale("log")
    wide = max(prices) / min(prices)
    ax.set_xlim(min(prices) / wide**0.08 / 1.1, max(prices) * wide**0.08 * 1.1)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if wide > 3 else (1, 1.5, 2, 3, 4, 5, 7), numticks=14))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    tops = [100 * row.get("accuracy_interval", (0, row["accuracy"]))[1] for row in ranked]
    ends = [100 * row["accuracy_interval"][0] for row in ranked if "accuracy_interval" in row]
    lowest = min([floor, *(end for end in ends if end > floor - 2)])
    room = 0.06 * (max(tops) - lowest) + 0.1
    ax.set_ylim(lowest - room, max(tops) + room)
    ax.set_xlabel(_AXES[name])
    ax.grid(lw=0.7)
    ax.tick_params(length=0)


def _spot(row: Row, name: str, floor: float) -> tuple[float, float]:
    return cost(row, name), max(100 * row["accuracy"], floor)


def _number(ax: Axes, ranked: Sequence[Row], name: str, floor: float) -> None:
    """Each model's number beside it, those on the front first, where no other number and no other point is."""
    from matplotlib.patheffects import withStroke

    scale = 72 / ax.figure.dpi
    spots = [ax.transData.transform(_spot(row, name, floor)) * scale for row in ranked]  # in points
    taken: list[tuple[float, float]] = []
    order = sorted(range(len(ranked)), key=lambda place: name not in ranked[place]["fronts"])
    for place in order:
        x, y = spots[place]
        others: list[Any] = [*taken, *(spot for other, spot in enumerate(spots) if other != place)]
        offsets = [(1.6 * across, 1.6 * up) for across, up in _SPOTS]
        crowded = [_crowd(x + across, y + up, others) for across, up in offsets]
        across, up = offsets[crowded.index(min(crowded))]
        taken.append((x + across, y + up))
        on = name in ranked[place]["fronts"]
        ax.annotate(
            str(place + 1), _spot(ranked[place], name, floor), (across, up),
            textcoords="offset points", ha="center", va="center", fontsize=8.5 if on else 7,
            fontweight="bold" if on else "normal", color=style.ACCENT if on else style.QUIET,
            path_effects=[withStroke(linewidth=2.2, foreground="white")], zorder=8,
        )  # fmt: skip


def _crowd(x: float, y: float, others: Sequence[tuple[float, float]]) -> float:
    """How far other numbers and points reach into a number at (x, y), all in points; 0 where it has room."""
    shares = ((1 - abs(x - left) / (2 * _HALF[0]), 1 - abs(y - low) / (2 * _HALF[1])) for left, low in others)
    return sum(max(0.0, across) * max(0.0, up) for across, up in shares)


def _caption(ranked: Sequence[Row]) -> list[str]:
    """The caption: who is who, and what marks and bars are."""
    lines = []
    for place, row in enumerate(ranked, start=1):
        pareto = f"  (Pareto: {', '.join(row['fronts'])})" if row["fronts"] else ""
        lines.append(
            f"{place}  {style.shorten(row['label'], 90)}: {100 * row['accuracy']:.1f} %, "
            f"{milliseconds(cost(row, 'latency'))} ms, {cost(row, 'size'):.1f} MiB{pareto}"
        )
    return [
        *lines,
        "Blue, joined: no model is as accurate and as cheap, and better in one. Star: teacher; square: uncompressed; "
        "triangle: less accurate than is drawn. Bars: 95 % intervals of accuracy over test rows.",
    ]
