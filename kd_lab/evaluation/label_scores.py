"""Draws how well each label is told, where a row may bear several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kd_lab.evaluation.glyphs import fonts_for, shortened
from kd_lab.evaluation.selective import LabelSets

_SHOWN = 60  # labels, the rest are left out: the worst are shown
_LONGEST = 28  # letters of a name
_BAR, _INK, _QUIET = "#0072B2", "#1b2a41", "#8a94a6"


def draw(sets: LabelSets, classes: Sequence[str], path: Path) -> None:
    """Writes F1 of each label as bars, the worst on top, with precision and recall as marks, as PNG.

    Args:
        sets: of the rows that are judged.
        classes: names of the C labels.
        path: of the picture.
    """
    hits, borne, said = (part.sum(axis=0) for part in (sets.gold & sets.said, sets.gold, sets.said))
    f1 = 2 * hits / np.maximum(borne + said, 1)
    worst = np.argsort(f1, kind="stable")[:_SHOWN]
    place = np.arange(len(worst))
    figure = Figure(figsize=(7.0, 1.6 + 0.26 * len(worst)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(place, f1[worst], color=_BAR, alpha=0.75, label="F1")
    axes.plot(hits[worst] / np.maximum(said[worst], 1), place, "|", color=_INK, markersize=10, label="precision")
    axes.plot(hits[worst] / np.maximum(borne[worst], 1), place, "o", color=_INK, markersize=4, label="recall")
    families, names = fonts_for([f"{shortened(classes[label], _LONGEST)} ({borne[label]:,})" for label in worst])
    axes.set_yticks(place, names, family=families)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e4e7ec", linewidth=0.8)
    axes.set_axisbelow(True)
    micro = 2 * hits.sum() / max(int(borne.sum() + said.sum()), 1)
    some = f", the {_SHOWN} worst" if len(classes) > _SHOWN else ""
    axes.set_title(f"micro F1 {micro:.1%} of {len(sets.gold):,} rows, {len(classes)} labels{some}", fontsize=11, pad=12)
    axes.set_ylabel("label (rows that bear it)", color=_QUIET)
    axes.legend(loc="lower right", frameon=False, fontsize=8.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})
