"""Draws accuracy against what a model costs, and marks the settings that none beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.report.figures import pareto_front, style
from kd_lab.report.study import measures
from kd_lab.report.study.measures import ACCURACY, LATENCY, SIZE, Measure
from kd_lab.report.study.settings import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 12  # settings of the fronts named under the figure
_LOG = 8.0  # largest over smallest cost from which the scale is logarithmic
_TEXT = (0.05, 0.06)  # width and height of a number on the front, as shares of a panel
_COSTS = (SIZE, LATENCY)


def draw(settings: Sequence[Setting], stem: Path, of: str = "") -> list[Path]:
    """Writes accuracy against size and against latency as PNG and SVG, the front of each marked, teachers as stars.

    Bars are 95 % t intervals over seeds; of a setting of one seed, the interval of its accuracy on the test rows.

    Args:
        settings: of one data set.
        stem: of the files' names.
        of: follows "accuracy" in the title, such as " on clinc".

    Returns:
        The files; none where no setting has an accuracy and a cost.
    """
    costs = [cost for cost in _COSTS if pareto_front.points(settings, cost)]
    if not costs:
        return []
    fronts = {cost: pareto_front.front(settings, cost.path) for cost in costs}
    ranked = sorted(
        (setting for setting in settings if any(setting is one for found in fronts.values() for one in found)),
        key=lambda setting: -(measures.mean(setting, ACCURACY) or 0.0),
    )
    numbers = {id(setting): place for place, setting in enumerate(ranked, start=1)}
    with style.figure_style():
        figure = style.new_figure(1.2 + 4.4 * len(costs), 4.3)
        heights = _heights(settings)
        panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
        for ax, cost in zip(panels, costs, strict=True):
            ax.set_ylim(*heights)
            _panel(ax, settings, cost, fronts[cost], numbers)
        panels[0].set_ylabel("test accuracy, %")
        for ax in panels[1:]:
            ax.tick_params(labelleft=False)
        style.title(figure, f"Accuracy{of} against " + " and ".join(cost.name for cost in costs))
        style.caption(figure, _caption(settings, ranked, costs))
        return style.save(figure, stem)


def _heights(settings: Sequence[Setting]) -> tuple[float, float]:
    """Lowest and highest accuracy drawn: every mean and teacher; bars of two seeds may be too long to fit."""
    scores = [score for cost in _COSTS for _, _, score in pareto_front.points(settings, cost)]
    bars = [bar for setting in settings if (bar := pareto_front.interval(setting))]
    scores += [score for cost in _COSTS for _, _, score in pareto_front.teachers(settings, cost)]
    low, high = min(scores), max(scores)
    room = max(0.35 * (high - low), 0.5)
    low_bar, high_bar = min((bar[0] for bar in bars), default=low), max((bar[1] for bar in bars), default=high)
    pad = 0.08 * (high - low) + 0.2
    return max(min(low_bar, low), low - room) - pad, min(max(high_bar, high), high + room) + pad


def _panel(
    ax: Axes, settings: Sequence[Setting], cost: Measure, found: Sequence[Setting], numbers: Mapping[int, int]
) -> None:
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    best = {id(setting) for setting in found}
    points, teachers = pareto_front.points(settings, cost), pareto_front.teachers(settings, cost)
    for setting, price, score in sorted(points, key=lambda point: id(point[0]) in best):
        on = id(setting) in best
        colour = style.ACCENT if on else "#b6bdc8"
        bar = pareto_front.interval(setting)
        if bar:
            ax.vlines(price, *bar, color=colour, lw=1.3 if on else 0.8, alpha=0.9 if on else 0.55, zorder=2 + on)
        ax.plot(price, score, "o", ms=7 if on else 4.5, color=colour, mec="white", mew=0.8, zorder=4 + on)
    line = [(price, score) for one in found for setting, price, score in points if setting is one]
    ax.plot(*zip(*line, strict=True), color=style.ACCENT, lw=1.3, alpha=0.7, zorder=3)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for name, price, score in teachers:
        ax.plot(price, score, "*", ms=15, color=style.STAR, mec="white", mew=0.8, zorder=7)
        ax.annotate(
            style.shorten(f"teacher {name}"), (price, score), (0, -11), textcoords="offset points", ha="center",
            va="top", fontsize=8, color=style.STAR, path_effects=halo, zorder=8,
        )  # fmt: skip
    prices = [price for _, price, _ in points] + [price for _, price, _ in teachers]
    logarithmic = min(prices) > 0 and max(prices) / min(prices) >= _LOG
    ax.set_xlabel(f"{cost.name}, {cost.unit}" + (" (logarithmic)" if logarithmic else ""))
    if logarithmic:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.margins(x=0.16)
    ax.grid(lw=0.7)
    ax.tick_params(length=0)
    for spot, text in _names(ax, line, [numbers[id(setting)] for setting in found]):
        ax.annotate(
            text, spot, (-5, 5), textcoords="offset points", ha="right", va="bottom", fontsize=8.5,
            fontweight="bold", color=style.ACCENT, path_effects=halo, zorder=8,
        )  # fmt: skip


def _names(
    ax: Axes, line: Sequence[tuple[float, float]], numbers: Sequence[int]
) -> list[tuple[tuple[float, float], str]]:
    """(point, text) of the numbers on a front; neighbours too near for one each share a text, such as "1-3, 5".

    A text goes to the upper left of its points, where no setting can be: it would be on the front itself.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    groups: list[list[int]] = []
    for place, spot in enumerate(line):
        if groups:
            (x, y), (last_x, last_y) = to_axes.transform([spot, line[groups[-1][-1]]])
            if abs(x - last_x) < _TEXT[0] and abs(y - last_y) < _TEXT[1]:
                groups[-1].append(place)
                continue
        groups.append([place])
    return [((line[group[0]][0], line[group[-1]][1]), _runs([numbers[place] for place in group])) for group in groups]


def _runs(numbers: Sequence[int]) -> str:
    """Whole numbers as people list them: 1, 2, 3, 5 is "1-3, 5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _caption(settings: Sequence[Setting], ranked: Sequence[Setting], costs: Sequence[Measure]) -> list[str]:
    """The caption: who is who on the fronts, and what the bars are."""
    lines = []
    for place, setting in enumerate(ranked[:NAMED], start=1):
        known = [(cost, measures.mean(setting, cost)) for cost in costs]
        prices = "".join(f", {price:.3g} {cost.unit}" for cost, price in known if price is not None)
        lines.append(f"{place}  {setting.label}: {measures.mean(setting, ACCURACY):.1f} %{prices}")
    if len(ranked) > NAMED:
        lines.append(f"and {len(ranked) - NAMED} more on the fronts.")
    seeds = {len(setting.over_seeds(ACCURACY.path)) for setting in settings} - {0}
    bars = ["t over seeds"] if max(seeds) > 1 else []
    bars += ["Wilson over test rows (one seed)"] if 1 in seeds else []
    lines.append(
        "Numbered and joined: no other setting is as accurate and as cheap, and better in one. Grey: all others."
    )
    told = measures.timing(settings) if measures.LATENCY in costs else []
    return [*lines, f"Bars: 95 % intervals, {' or '.join(bars)}.", *told, *measures.noise(settings)]
