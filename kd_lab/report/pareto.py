"""Draws accuracy against what a model costs, and marks the settings that none beats in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab import significance
from kd_lab.report import measures, style
from kd_lab.report.measures import ACCURACY, LATENCY, SIZE, Measure
from kd_lab.report.settings import Setting, at

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = 12  # settings of the fronts named under the figure
_LOG = 8.0  # largest over smallest cost from which the scale is logarithmic
_TEXT = (0.05, 0.06)  # width and height of a number on the front, as shares of a panel
_COSTS = (SIZE, LATENCY)


def front(settings: Sequence[Setting], cost_path: str) -> list[Setting]:
    """The Pareto-optimal settings by mean test accuracy and mean cost, cheapest first.

    A setting is left out where another is at least as accurate and as cheap, and better in one of the two; so equals
    stay together. Settings without either number are left out.

    Args:
        settings: of a study.
        cost_path: of a number where less is better, e.g. "cost.size_mib".
    """
    cost = Measure("cost", "", cost_path)
    known = [(price, -score, setting) for setting, price, score in _points(settings, cost)]
    known.sort(key=lambda point: point[:2])
    found: list[tuple[float, float, Setting]] = []
    for point in known:
        if not found or point[1] < found[-1][1] or point[:2] == found[-1][:2]:
            found.append(point)
    return [setting for _, _, setting in found]


def draw(settings: Sequence[Setting], stem: Path) -> list[Path]:
    """Writes accuracy against size and against latency as PNG and SVG, the front of each marked, teachers as stars.

    Bars are 95 % t intervals over seeds; of a setting of one seed, the interval of its accuracy on the test rows.

    Returns:
        The files; none where no setting has an accuracy and a cost.
    """
    costs = [cost for cost in _COSTS if _points(settings, cost)]
    if not costs:
        return []
    fronts = {cost: front(settings, cost.path) for cost in costs}
    ranked = sorted(
        (setting for setting in settings if any(setting is one for found in fronts.values() for one in found)),
        key=lambda setting: -(measures.mean(setting, ACCURACY) or 0.0),
    )
    numbers = {id(setting): place for place, setting in enumerate(ranked, start=1)}
    with style.look():
        figure = style.new(1.2 + 4.4 * len(costs), 4.3)
        heights = _heights(settings)
        panels = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
        for here, cost in zip(panels, costs, strict=True):
            here.set_ylim(*heights)
            _panel(here, settings, cost, fronts[cost], numbers)
        panels[0].set_ylabel("test accuracy, %")
        for here in panels[1:]:
            here.tick_params(labelleft=False)
        style.title(figure, "Accuracy against " + " and ".join(cost.name for cost in costs))
        style.caption(figure, _told(settings, ranked, costs))
        return style.save(figure, stem)


def _points(settings: Sequence[Setting], cost: Measure) -> list[tuple[Setting, float, float]]:
    """(setting, mean cost, mean accuracy in percent) of settings that have both."""
    found = [(setting, measures.mean(setting, cost), measures.mean(setting, ACCURACY)) for setting in settings]
    return [(setting, price, score) for setting, price, score in found if price is not None and score is not None]


def _interval(setting: Setting) -> tuple[float, float] | None:
    """95 % interval of the accuracy, percent: over seeds where there are several, else over test rows."""
    spread = significance.over_seeds(setting.over_seeds(ACCURACY.path))
    if spread.low is not None and spread.high is not None:
        return 100 * spread.low, 100 * spread.high
    told = next((found for cell in setting.cells if (found := at(cell, "metrics.test.accuracy_interval"))), None)
    return None if told is None else (100 * told[0], 100 * told[1])


def _teachers(settings: Sequence[Setting], cost: Measure) -> list[tuple[str, float, float]]:
    """(name, cost, accuracy in percent) of each distinct teacher; the first cell that had it tells."""
    found: dict[str, tuple[str, float, float]] = {}
    for cell in (cell for setting in settings for cell in setting.cells):
        price, score = at(cell, f"teacher.{cost.path}"), at(cell, f"teacher.{ACCURACY.path}")
        if price is not None and score is not None:
            name = str(cell.teacher.get("model"))
            found.setdefault(str(cell.teacher.get("fingerprint")), (name, float(price), 100 * score))
    return list(found.values())


def _heights(settings: Sequence[Setting]) -> tuple[float, float]:
    """Lowest and highest accuracy drawn: every mean and teacher; bars of two seeds may be too long to fit."""
    scores = [score for cost in _COSTS for _, _, score in _points(settings, cost)]
    bars = [bar for setting in settings if setting.over_seeds(ACCURACY.path) and (bar := _interval(setting))]
    scores += [score for cost in _COSTS for _, _, score in _teachers(settings, cost)]
    low, high = min(scores), max(scores)
    room = max(0.35 * (high - low), 0.5)
    low_bar, high_bar = min((bar[0] for bar in bars), default=low), max((bar[1] for bar in bars), default=high)
    pad = 0.08 * (high - low) + 0.2
    return max(min(low_bar, low), low - room) - pad, min(max(high_bar, high), high + room) + pad


def _panel(
    here: Axes, settings: Sequence[Setting], cost: Measure, found: Sequence[Setting], numbers: Mapping[int, int]
) -> None:
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    best = {id(setting) for setting in found}
    points, teachers = _points(settings, cost), _teachers(settings, cost)
    for setting, price, score in sorted(points, key=lambda point: id(point[0]) in best):
        on = id(setting) in best
        colour = style.ACCENT if on else "#b6bdc8"
        bar = _interval(setting)
        if bar:
            here.vlines(price, *bar, color=colour, lw=1.3 if on else 0.8, alpha=0.9 if on else 0.55, zorder=2 + on)
        here.plot(price, score, "o", ms=7 if on else 4.5, color=colour, mec="white", mew=0.8, zorder=4 + on)
    line = [(price, score) for one in found for setting, price, score in points if setting is one]
    here.plot(*zip(*line, strict=True), color=style.ACCENT, lw=1.3, alpha=0.7, zorder=3)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for name, price, score in teachers:
        here.plot(price, score, "*", ms=15, color=style.STAR, mec="white", mew=0.8, zorder=7)
        here.annotate(
            style.cut(f"teacher {name}"), (price, score), (0, -11), textcoords="offset points", ha="center", va="top",
            fontsize=8, color=style.STAR, path_effects=halo, zorder=8,
        )  # fmt: skip
    prices = [price for _, price, _ in points] + [price for _, price, _ in teachers]
    logarithmic = min(prices) > 0 and max(prices) / min(prices) >= _LOG
    here.set_xlabel(f"{cost.name}, {cost.unit}" + (" (logarithmic)" if logarithmic else ""))
    if logarithmic:
        here.set_xscale("log")
        here.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        here.xaxis.set_minor_locator(NullLocator())
    else:
        here.xaxis.set_major_locator(MaxNLocator(6))
    here.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    here.margins(x=0.16)
    here.grid(lw=0.7)
    here.tick_params(length=0)
    for spot, text in _names(here, line, [numbers[id(setting)] for setting in found]):
        here.annotate(
            text, spot, (-5, 5), textcoords="offset points", ha="right", va="bottom", fontsize=8.5,
            fontweight="bold", color=style.ACCENT, path_effects=halo, zorder=8,
        )  # fmt: skip


def _names(
    here: Axes, line: Sequence[tuple[float, float]], numbers: Sequence[int]
) -> list[tuple[tuple[float, float], str]]:
    """(point, text) of the numbers on a front; neighbours too near for one each share a text, such as "1-3, 5".

    A text goes to the upper left of its points, where no setting can be: it would be on the front itself.
    """
    to_axes = here.transData + here.transAxes.inverted()
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


def _told(settings: Sequence[Setting], ranked: Sequence[Setting], costs: Sequence[Measure]) -> list[str]:
    """The caption: who is who on the fronts, and what the bars are."""
    lines = []
    for place, setting in enumerate(ranked[:NAMED], start=1):
        known = [(cost, measures.mean(setting, cost)) for cost in costs]
        prices = "".join(f", {price:.3g} {cost.unit}" for cost, price in known if price is not None)
        lines.append(f"{place}  {setting.label}: {measures.mean(setting, ACCURACY):.1f} %{prices}")
    if len(ranked) > NAMED:
        lines.append(f"and {len(ranked) - NAMED} more on the fronts.")
    seeds = {len(setting.over_seeds(ACCURACY.path)) for setting in settings} - {0}
    bars = [
        *(["t over seeds"] if max(seeds) > 1 else []),
        *(["Wilson over test rows (one seed)"] if 1 in seeds else []),
    ]
    lines.append(
        "Numbered and joined: no other setting is as accurate and as cheap, and better in one. Grey: all others."
    )
    return [*lines, f"Bars: 95 % intervals, {' or '.join(bars)}.", *measures.noise(settings)]
