"""Draws how each setting does on each data set, as a grid of accuracies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kd_lab.report.figures import style
from kd_lab.report.study.cross_evaluation import CrossEvaluation, notes, words

_CELL = (1.15, 0.5)  # inches
_MOST = 40  # settings


def draw(found: CrossEvaluation | None, stem: Path) -> list[Path]:
    """Writes the grid as PNG and SVG; a frame is round the data set that a setting was fitted on.

    Args:
        found: of a study.
        stem: of the files' names.

    Returns:
        The files; none where nothing was judged on other data sets, or there are more settings than fit.
    """
    if found is None or len(found.rows) > _MOST:
        return []
    names, labels = found.data_sets, list(found.rows)
    judged = [[found.rows[label].get(name) for name in names] for label in labels]
    values = np.array([[np.nan if one is None else 100 * one.accuracy.mean for one in row] for row in judged])
    with style.figure_style():
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize
        from matplotlib.patches import Rectangle

        figure = style.new_figure(3.2 + _CELL[0] * len(names), 1.2 + _CELL[1] * len(labels))
        ax = figure.subplots()
        colours = ScalarMappable(Normalize(float(np.nanmin(values)), float(np.nanmax(values)) + 1e-9), style.colormap())
        ax.set_xlim(-0.5, len(names) - 0.5)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.spines[:].set_visible(False)
        for (y, x), value in np.ndenumerate(values):
            one = judged[y][x]
            if one is None:
                continue
            colour = colours.to_rgba(values)[y, x]
            ink = style.ink_on(colour)
            ax.add_patch(Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, lw=0))
            if one.own:
                place = (x - 0.48, y - 0.46)
                ax.add_patch(Rectangle(place, 0.96, 0.92, fill=False, edgecolor=style.STAR, lw=2.4, zorder=3))
            short = f"{value:.1f}{'*' if one.at_chance else ''}"
            below = words(one).removeprefix(f"{value:.1f}").removesuffix("*").strip()
            ax.text(x, y - 0.12 * bool(below), short, ha="center", va="center", color=ink, weight="bold")
            ax.text(x, y + 0.24, below, ha="center", va="center", color=ink, fontsize=6.5)
        ax.set_xticks(range(len(names)), [style.shorten(name) for name in names])
        ax.set_yticks(range(len(labels)), [style.shorten(label, 36) for label in labels])
        ax.tick_params(length=0)
        ax.set_xlabel("judged on the test rows of")
        ax.set_ylabel("fitted as")
        bar = figure.colorbar(colours, ax=ax, label="test accuracy, %", shrink=0.9, aspect=24, pad=0.015)
        bar.outline.set_visible(False)
        style.title(figure, "Accuracy on other data sets")
        style.caption(figure, notes(found))
        return style.save(figure, stem)
