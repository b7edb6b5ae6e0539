"""Draws whether a classifier is right as often as it is sure.

By hand: scikit-learn's CalibrationDisplay draws one line, without the intervals, the gaps and the rows of each bin, and
its `calibration_curve` leaves out empty bins and the counts that these need.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from kd_lab.evaluation.counting import BINS
from kd_lab.evaluation.intervals import wilson

_RIGHT, _GAP, _INK = "#0072B2", "#D55E00", "#1b2a41"  # blue and vermilion differ for the colour-blind too
_EDGES = torch.linspace(0, 1, BINS + 1).numpy()  # (BINS + 1,) float32, the very edges of the metric `ece`


@dataclass(frozen=True)
class Reliability:
    """Rows in `BINS` equally wide bins of confidence; a bin holds its lower edge, the last one holds 1 as well."""

    rows: NDArray[np.int64]  # (BINS,)
    right: NDArray[np.int64]  # (BINS,) rows whose prediction is the label
    accuracy: NDArray[np.float64]  # (BINS,) fractions, nan in an empty bin
    confidence: NDArray[np.float64]  # (BINS,) means, nan in an empty bin

    @property
    def ece(self) -> float:
        """The `ece` of `metrics.evaluate`: mean over rows of |accuracy - confidence| of their bin."""
        return float(np.nansum(np.abs(self.accuracy - self.confidence) * self.rows) / self.rows.sum())


def reliability(labels: ArrayLike, predictions: ArrayLike, confidence: ArrayLike) -> Reliability:
    """Counts rows by confidence.

    Args:
        labels, predictions: (N,) int, classes; rows with label -1 are left out.
        confidence: (N,) float32, the largest softmax probability of a row.

    Raises:
        ValueError: no row has a label.
    """
    gold, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    known = gold >= 0
    if not known.any():
        raise ValueError("no labelled rows to calibrate on")
    sure = np.asarray(confidence, dtype=np.float32)[known]
    place = np.clip(np.searchsorted(_EDGES, sure, side="right") - 1, 0, BINS - 1)
    rows = np.bincount(place, minlength=BINS)
    right = np.bincount(place[gold[known] == predicted[known]], minlength=BINS)
    held = np.where(rows > 0, rows, np.nan)
    return Reliability(rows, right, right / held, np.bincount(place, weights=sure, minlength=BINS) / held)


def draw(
    labels: ArrayLike, predictions: ArrayLike, confidence: ArrayLike, path: Path, *, of_labels: bool = False
) -> None:
    """Writes the reliability diagram (Guo et al. 2017, arXiv:1706.04599, figure 1) as PNG, below 150 KB.

    Above, the accuracy of each bin with its 95 % Wilson interval and the gap between it and the bin's mean confidence;
    on the diagonal there is no gap. Below, how many rows a bin holds.

    Args:
        labels, predictions, confidence: as in `reliability`.
        path: of the picture.
        of_labels: whether a row is one label of a text that may bear several: labels are 1 where it bears it, else 0,
            predictions 1, and confidence the label's probability.
    """
    found = reliability(labels, predictions, confidence)
    filled = found.rows > 0
    width, middle = 1 / BINS, (_EDGES[:-1] + _EDGES[1:]) / 2
    at, accuracy, sure = middle[filled], found.accuracy[filled], found.confidence[filled]
    limits = np.array(
        [wilson(int(hits), int(n)) for hits, n in zip(found.right[filled], found.rows[filled], strict=True)]
    )
    total = int(found.rows.sum())
    mean_accuracy = found.right.sum() / total
    mean_confidence = float(np.nansum(found.confidence * found.rows) / total)

    figure = Figure(figsize=(6.0, 6.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    right, sureness = ("share of texts that bear it", "probability") if of_labels else ("accuracy", "confidence")
    above.bar(at, accuracy, width, color=_RIGHT, alpha=0.75, edgecolor="white", linewidth=0.8, label=right)
    above.bar(
        at,
        sure - accuracy,
        width * 0.96,
        bottom=accuracy,
        facecolor="#D55E0033",
        edgecolor=_GAP,
        hatch="////",
        linewidth=0.8,
        label=f"gap to mean {sureness}",
    )
    above.plot([0, 1], [0, 1], color=_INK, linestyle=(0, (4, 3)), linewidth=1, label="perfectly calibrated")
    above.vlines(at, limits[:, 0], limits[:, 1], color=_INK, linewidth=1.2, label=f"95 % interval of the {right}")
    above.set_ylim(0, 1.02)
    above.set_ylabel(right)
    above.legend(loc="upper left", frameon=False, fontsize=8.5)
    above.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    above.set_title(
        f"ECE {found.ece:.2%} over {BINS} bins, {total:,} {'labels of texts' if of_labels else 'rows'}\n"
        f"{right} {mean_accuracy:.1%}, mean {sureness} {mean_confidence:.1%}",
        fontsize=11,
        pad=12,
    )
    below.bar(middle, found.rows, width, color="#8a94a6", edgecolor="white", linewidth=0.8)
    for x, n in zip(at, found.rows[filled], strict=True):
        below.annotate(f"{n:,}", (x, n), (0, 2), textcoords="offset points", ha="center", fontsize=6.5, color=_INK)
    below.set_xlim(0, 1)
    below.set_ylim(0, found.rows.max() * 1.18)
    below.set_xlabel("probability of a label" if of_labels else "confidence (largest softmax probability)")
    below.set_ylabel("labels of texts" if of_labels else "rows")
    below.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#e4e7ec", linewidth=0.8)
        axes.tick_params(length=3)
    figure.align_ylabels()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})
