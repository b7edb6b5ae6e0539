"""Draws test accuracy over a grid of two swept options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kd_lab.evaluation import intervals
from kd_lab.report.figures import style
from kd_lab.report.study import measures
from kd_lab.report.study.measures import ACCURACY
from kd_lab.report.study.settings import Setting, short_names, short_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

PANELS = 6  # shown side by side
LONGEST = 12  # values of an axis; more come from a search, not from a grid
_CELL = (0.78, 0.56)  # inches
_WIDEST = 11.0  # inches of panels in one row


@dataclass(frozen=True)
class Panel:
    """A grid of settings that are alike in all other axes; None where a setting was never run."""

    title: str
    cells: tuple[tuple[Setting | None, ...], ...]  # (R, C) by y, then x

    def means(self) -> NDArray[np.float64]:
        """(R, C) mean test accuracy over seeds, percent; nan where no cell finished."""
        found = [[measures.mean(cell, ACCURACY) if cell else None for cell in row] for row in self.cells]
        return np.array(found, dtype=np.float64)


@dataclass(frozen=True)
class Grid:
    """What is drawn: two axes, numbers by size, and a panel for each setting of the others."""

    x: str
    y: str
    x_values: tuple[str, ...]  # (C,)
    y_values: tuple[str, ...]  # (R,) from below
    panels: tuple[Panel, ...]  # at most PANELS
    hidden: int  # panels not shown


def grid(settings: Sequence[Setting]) -> Grid | None:
    """The two numeric axes with most values, or other axes where there are not two of these; the earlier one across.

    None where there are not two axes of two values each, or where a numeric axis has more than `LONGEST`.
    """
    axes = {axis: measures.values(settings, axis) for axis in (settings[0].values if settings else ())}
    numeric = {axis for axis, found in axes.items() if measures.numeric(found)}
    wide = [axis for axis, found in axes.items() if 2 <= len(found) <= LONGEST]
    if len(wide) < 2 or any(len(axes[axis]) > LONGEST for axis in numeric):
        return None
    chosen = sorted(wide, key=lambda axis: (axis in numeric, len(axes[axis])), reverse=True)[:2]
    x, y = (axis for axis in axes if axis in chosen)
    others = [axis for axis in axes if axis not in (x, y)]
    short = short_names(list(axes))
    known = {tuple(setting.values[axis] for axis in (x, y, *others)): setting for setting in settings}
    held = {key[2:] for key in known}
    kinds = [kind for kind in product(*(axes[axis] for axis in others)) if kind in held]
    panels = tuple(
        Panel(
            " ".join(f"{short[axis]}={short_value(value)}" for axis, value in zip(others, kind, strict=True)),
            tuple(tuple(known.get((across, up, *kind)) for across in axes[x]) for up in axes[y]),
        )
        for kind in kinds[:PANELS]
    )
    return Grid(x, y, tuple(axes[x]), tuple(axes[y]), panels, len(kinds) - len(panels))


def draw(settings: Sequence[Setting], stem: Path, of: str = "") -> list[Path]:
    """Writes the grid as PNG and SVG, mean test accuracy ± sd over seeds in each cell.

    The setting that is best on validation is framed. Colours span at least the width of the 95 % interval of one
    accuracy, so that noise does not look like a signal.

    Args:
        settings: of one data set.
        stem: of the files' names.
        of: ends the title, such as " on clinc".

    Returns:
        The files; none where there is no `grid`, or no cell of it finished.
    """
    found = grid(settings)
    if found is None or not any(np.isfinite(panel.means()).any() for panel in found.panels):
        return []
    across, up = _CELL[0] * len(found.x_values), _CELL[1] * len(found.y_values)
    rows = -(-len(found.panels) // max(1, int(_WIDEST // (across + 0.3))))
    columns = -(-len(found.panels) // rows)
    short, chosen = short_names(list(settings[0].values)), measures.best(settings)
    with style.figure_style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        figure = style.new_figure(max(6.4, columns * (across + 0.3) + 1.6), rows * (up + 0.65) + 0.75)
        colours = ScalarMappable(Normalize(*_span(found, settings)), style.colormap())
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for place, (panel, ax) in enumerate(zip(found.panels, axes.flat, strict=False)):
            ax.set_title(style.wrap(panel.title, max(24, int(11 * across))))
            _panel(ax, panel, colours, chosen)
            names = [style.shorten(short_value(value)) for value in found.x_values]
            long = max(map(len, names)) > 9
            ax.set_xticks(range(len(names)), names, **({"rotation": 35, "ha": "right"} if long else {}))
            ax.set_yticks(range(len(found.y_values)), [style.shorten(short_value(value)) for value in found.y_values])
            last = place + columns >= len(found.panels)
            ax.tick_params(length=0, labelbottom=last, labelleft=place % columns == 0)
            ax.set_xlabel(short[found.x] if last else "")
            ax.set_ylabel(short[found.y] if place % columns == 0 else "")
        for spare in axes.flat[len(found.panels) :]:
            spare.set_visible(False)
        bar = figure.colorbar(colours, ax=axes, label="mean test accuracy, %", shrink=0.9, aspect=24, pad=0.015)
        bar.outline.set_visible(False)
        hidden = f" ({found.hidden} more panels not shown)" if found.hidden else ""
        style.title(figure, f"Test accuracy by {short[found.x]} and {short[found.y]}{of}{hidden}")
        style.caption(figure, _caption(found, settings, chosen))
        return style.save(figure, stem)


def _span(found: Grid, settings: Sequence[Setting]) -> tuple[float, float]:
    """Lowest and highest accuracy of the colours, percent."""
    every = np.concatenate([panel.means().ravel() for panel in found.panels])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    rows = measures.smallest_split(settings)
    narrow = 2 * measures.half_width(high, rows) if rows else 1.0
    slack = max(0.0, narrow - (high - low)) / 2
    return low - slack, high + slack


def _panel(ax: Axes, panel: Panel, colours: ScalarMappable, chosen: Setting | None) -> None:
    from matplotlib.patches import Rectangle

    means = panel.means()
    ax.set_xlim(-0.5, means.shape[1] - 0.5)
    ax.set_ylim(-0.5, means.shape[0] - 0.5)
    ax.spines[:].set_visible(False)
    for (y, x), value in np.ndenumerate(means):
        setting = panel.cells[y][x]
        place = (x - 0.48, y - 0.48)
        if setting is None or np.isnan(value):
            ax.add_patch(Rectangle(place, 0.96, 0.96, facecolor="white", edgecolor=style.FAINT, hatch="/////", lw=0))
            ax.text(x, y, _status(setting), ha="center", va="center", fontsize=8, bbox=_BACKED)
            continue
        colour = colours.to_rgba(means)[y, x]
        ink = style.ink_on(colour)
        ax.add_patch(Rectangle(place, 0.96, 0.96, facecolor=colour, lw=0))
        below = _below(setting)
        ax.text(x, y + 0.09 * len(below), f"{value:.1f}", ha="center", va="center", color=ink, weight="bold")
        for line, text in enumerate(below):
            lower = y + 0.09 * len(below) - 0.27 - 0.22 * line
            ax.text(x, lower, text, ha="center", va="center", color=ink, fontsize=7)
    for (y, x), _ in np.ndenumerate(means):
        if chosen is not None and panel.cells[y][x] is chosen:
            ax.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, fill=False, edgecolor="white", lw=4.5))
            ax.add_patch(
                Rectangle((x - 0.48, y - 0.48), 0.96, 0.96, fill=False, edgecolor=style.STAR, lw=2.4, zorder=3)
            )


_BACKED = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}


def _status(setting: Setting | None) -> str:
    """Why a cell of the grid has no number."""
    if setting is None:
        return "not run"
    return setting.failed[-1].status if setting.failed else "no number"


def _below(setting: Setting) -> list[str]:
    """What stands under a mean: its sd over seeds, and how many seeds failed."""
    spread = intervals.over_seeds(setting.over_seeds(ACCURACY.path))
    lines = [] if spread.sd is None else [f"± {100 * spread.sd:.1f}"]
    if setting.failed:
        lines.append(f"{spread.n} of {spread.n + len(setting.failed)}")
    return lines


def _caption(found: Grid, settings: Sequence[Setting], chosen: Setting | None) -> list[str]:
    """The caption: what the numbers, the frame and the hatching mean."""
    shown = [cell for panel in found.panels for row in panel.cells for cell in row]
    seeds = sorted({len(cell.over_seeds(ACCURACY.path)) for cell in shown if cell} - {0})
    if seeds == [1]:
        lines = ["One seed a cell: nothing is known of the spread over seeds."]
    else:
        lines = [f"Mean ± standard deviation over {' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} seeds."]
    if any(cell and cell.cells and cell.failed for cell in shown):
        lines[0] += ' "2 of 3": so many seeds finished.'
    if chosen is not None:
        where = "framed" if any(cell is chosen for cell in shown) else "in a panel not shown"
        lines.append(f"Best on validation ({where}): {chosen.label}.")
    empty = [_status(cell) for cell in shown if cell is None or not cell.over_seeds(ACCURACY.path)]
    if empty:
        counts = ", ".join(f"{empty.count(status)} {status}" for status in dict.fromkeys(empty))
        lines.append(f"Hatched, without a result: {counts}.")
    return lines + measures.noise(settings)
