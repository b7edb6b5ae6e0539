"""Draws cost over size on log-log axes, with a line of slope 1 to hold it against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kd_lab.report.figures.style import FAINT, figure_style, new_figure

CELLS = "rerun"  # the curve over cells; the others are over rows
_DOTS_AN_INCH = 90


def draw(curves: Mapping[str, Mapping[int, float]], path: Path) -> None:
    """Writes a PNG with a panel for rows and one for cells.

    Args:
        curves: name -> size -> seconds.
    """
    from matplotlib.ticker import FuncFormatter

    with figure_style():
        figure = new_figure(8.0, 3.4)
        panels = figure.subplots(1, 2)
        for name, points in curves.items():
            panel = panels[int(name == CELLS)]
            panel.plot(list(points), list(points.values()), marker="o", markersize=3, label=name)
        for panel, unit in zip(panels, ("rows", "finished cells"), strict=True):
            panel.set(xscale="log", yscale="log", xlabel=unit, ylabel="seconds")
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            panel.grid(visible=True)
            _linear(panel)
            panel.legend(frameon=False, loc="upper left", fontsize=8)
        figure.savefig(path, dpi=_DOTS_AN_INCH)


def _linear(panel: object) -> None:
    """A line of slope 1 that ends at the top curve's last point."""
    lines = panel.get_lines()  # type: ignore[attr-defined]
    if not lines:
        return
    sizes, seconds = max((line.get_data() for line in lines), key=lambda one: one[1][-1])
    panel.plot(  # type: ignore[attr-defined]
        [sizes[0], sizes[-1]], [seconds[-1] * sizes[0] / sizes[-1], seconds[-1]], "--", color=FAINT, label="linear"
    )
