"""The look of the report's figures, and how they are written: the same numbers give the same bytes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK, QUIET, FAINT, GRID = "#1b2a41", "#5b6678", "#a9b1bd", "#e4e7ec"
ACCENT, STAR = "#0072B2", "#D55E00"  # blue and vermilion of Okabe and Ito, which the colour-blind tell apart
LONGEST = 26  # letters of a name on an axis
_LETTERS_AN_INCH = 15.5  # of captions


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw and save inside: fonts and colours are ours whatever the user's matplotlibrc says."""
    from matplotlib import style

    ours = {
        "font.family": "DejaVu Sans",  # comes with matplotlib
        "font.size": 9,
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": FAINT,
        "axes.titlesize": 9.5,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": FAINT,
        "ytick.color": FAINT,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": GRID,
        "figure.titlesize": 12,
        "hatch.linewidth": 0.6,
        "savefig.dpi": 150,
        "svg.hashsalt": "kd_lab",  # otherwise identifiers are drawn by chance
    }
    with style.context(["default", ours]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, outside pyplot, so that nothing is left behind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def colormap() -> Colormap:
    """Dark blue to bright green: grows in lightness, and its end still shows on white."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap
    from numpy import linspace

    return ListedColormap(mpl.colormaps["viridis"](linspace(0.06, 0.9, 256)), "kd_lab")


def ink_on(colour: Any) -> str:
    """The colour of letters that can be read on another: (4,) red, green, blue and alpha, from 0 to 1."""
    red, green, blue, _ = colour
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.52 else INK


def caption(figure: Figure, lines: list[str]) -> None:
    """Small lines under the figure, left, broken where they are longer than it is wide; it grows by their height."""
    width = int(figure.get_figwidth() * _LETTERS_AN_INCH)
    broken = [part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="    ") or [""]]
    figure.set_figheight(figure.get_figheight() + 0.17 * len(broken) + 0.1)
    figure.supxlabel("\n".join(broken), x=0.01, ha="left", fontsize=8, color=QUIET, linespacing=1.45)


def title(figure: Figure, text: str) -> None:
    """The title above the figure, broken where it is longer than the figure is wide."""
    figure.suptitle("\n".join(textwrap.wrap(text, int(figure.get_figwidth() * 10))), fontweight="bold")


def name_rows(ax: Axes, names: Sequence[str], below: float = 0.4, above: float = 0.6) -> None:
    """A row a name, the first at 0 and each next one lower, with a grid across; `below` and `above` are of the ends."""
    ax.set_yticks([-row for row in range(len(names))], names)
    ax.set_ylim(below - len(names), above)
    ax.grid(axis="x", lw=0.7)
    ax.spines["left"].set_visible(False)
    ax.tick_params(length=0)


def shorten(name: str, letters: int = LONGEST) -> str:
    """A name on one line, its middle left out where it is long."""
    line = " ".join(name.split())
    if len(line) <= letters:
        return line
    tail = letters // 3
    return f"{line[: letters - tail - 1]}…{line[-tail:]}"


def wrap(name: str, letters: int) -> str:
    """A name on at most two lines of so many letters, broken after a comma, a blank or an underscore if it can be."""
    short = shorten(name, 2 * letters)
    if len(short) <= letters:
        return short
    fits = range(max(1, len(short) - letters), letters + 1)
    at = max((place for place in fits if short[place - 1] in ", _-/"), default=letters)
    return f"{short[:at].rstrip()}\n{short[at:].lstrip()}"


def save(figure: Figure, stem: Path) -> list[Path]:
    """Writes `stem`.png, 150 dots an inch, and `stem`.svg, both with everything drawn inside and no date."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    png, svg = stem.parent / f"{stem.name}.png", stem.parent / f"{stem.name}.svg"
    figure.savefig(png, bbox_inches="tight", pad_inches=0.12, metadata={"Software": None})
    figure.savefig(svg, bbox_inches="tight", pad_inches=0.12, metadata={"Date": None, "Creator": None})
    return [png, svg]
