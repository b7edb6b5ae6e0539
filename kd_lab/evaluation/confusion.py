"""Draws which classes a classifier takes for which.

By hand: scikit-learn's ConfusionMatrixDisplay prints the numbers that it colours, where colours are shares here and the
numbers counts; it prints every zero, and all else here would still have to be set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike
from PIL import Image

from kd_lab.evaluation.glyphs import fonts_for, shortened

NAMED = 20  # classes up to which names and counts can be read
_LONGEST = 22  # letters of a name


def draw(labels: ArrayLike, predictions: ArrayLike, classes: Sequence[str], path: Path) -> None:
    """Writes the confusion matrix as PNG, below 150 KB.

    Colours are fractions of a row, that is of all examples of a class; numbers are counts. Above `NAMED` classes the
    picture has neither names nor numbers and the axes count classes.

    Args:
        labels, predictions: (N,) int, classes; rows with label -1 are left out.
        classes: names of the C classes.
        path: of the picture.
    """
    gold, predicted = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    gold, predicted = gold[gold >= 0], predicted[gold >= 0]
    size, few = len(classes), len(classes) <= NAMED
    counts = np.bincount(gold * size + predicted, minlength=size**2).reshape(size, size)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    inches = 3.6 + 0.42 * size if few else 7.0
    figure = Figure(figsize=(inches + 0.9, inches), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest")
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, format=PercentFormatter(xmax=1.0), label="share of the true class"
    )
    bar.outline.set_visible(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    accuracy = float(np.trace(counts) / max(counts.sum(), 1))
    axes.set_title(f"accuracy {accuracy:.1%} of {counts.sum():,} rows, {size} classes", fontsize=11, pad=12)
    if few:
        families, names = fonts_for([" ".join(str(name).split()) for name in classes])
        names = [shortened(name, _LONGEST) for name in names]
        axes.set_xticks(range(size), names, rotation=45, ha="right", rotation_mode="anchor", family=families)
        axes.set_yticks(range(size), names, family=families)
        axes.set_xticks(np.arange(size - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(size - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.55 else "#1b2a41"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=8, color=colour)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.draw()  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")  # type: ignore[no-untyped-call]
    picture.quantize(256).save(path, format="png", optimize=True)  # a palette takes a third of the bytes
