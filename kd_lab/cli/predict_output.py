"""Writes the answers of `kd-lab predict`: aligned for a terminal, else tab-separated or CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from kd_lab.cli.predict_input import InputTexts

_LEAST = 20  # letters of a text that a terminal must have room for


class Writer:
    """Columns text [, text_pair], label, probability [, probability.LABEL for each class]; probabilities to 6 digits.

    Args:
        file: where to write.
        labels: all classes, in the model's order.
        pairs: whether texts come in pairs.
        whole: whether to write the probabilities of all classes.
        separator: "," or "\t" between fields, quoted as CSV where they hold it.
    """

    def __init__(self, file: TextIO, labels: Sequence[str], pairs: bool, whole: bool, separator: str) -> None:
        self._csv, self._whole = csv.writer(file, delimiter=separator, lineterminator="\n"), whole
        texts = ["text", "text_pair"] if pairs else ["text"]
        each = [f"probability.{label}" for label in labels] if whole else []
        self._csv.writerow([*texts, "label", "probability", *each])

    def write(self, inputs: InputTexts, labels: Sequence[str], probabilities: NDArray[np.float64]) -> None:
        """Answers to `inputs`, with probabilities (N, C)."""
        best = probabilities.max(axis=1)
        sides = [inputs.texts] if inputs.seconds is None else [inputs.texts, inputs.seconds]
        for row, (label, highest) in enumerate(zip(labels, best, strict=True)):
            each = [f"{value:.6f}" for value in probabilities[row]] if self._whole else []
            self._csv.writerow([*(side[row] for side in sides), label, f"{highest:.6f}", *each])


class Screen:
    """The same for eyes: label, probabilities, and as much of the text as fits on the line.

    Args:
        file: the terminal.
        labels: all classes, in the model's order.
        whole: whether to show the probabilities of all classes.
        width: of the terminal, in letters; see `fits`.
    """

    def __init__(self, file: TextIO, labels: Sequence[str], whole: bool, width: int) -> None:
        self._file, self._widths = file, _widths(labels, whole)
        self._left = max(_LEAST, width - sum(self._widths) - 2 * len(self._widths) - 1)
        self._print(["label", "probability", *(labels if whole else ())], "text")

    def write(self, inputs: InputTexts, labels: Sequence[str], probabilities: NDArray[np.float64]) -> None:
        """Answers to `inputs`, with probabilities (N, C)."""
        for row, (text, label) in enumerate(zip(inputs.texts, labels, strict=True)):
            each = probabilities[row][: len(self._widths) - 2]
            other = f" | {inputs.seconds[row]}" if inputs.seconds else ""
            shown = [f"{value:.4f}" for value in (probabilities[row].max(), *each)]
            self._print([label, *shown], text + other)

    def _print(self, fields: Sequence[Any], text: str) -> None:
        visible = "".join(letter if letter.isprintable() else " " for letter in text[: self._left + 1])
        cut = visible if len(visible) <= self._left else f"{visible[: self._left - 1]}…"
        places = zip(fields, self._widths, strict=True)
        print(*(f"{field:<{width}}" for field, width in places), cut, sep="  ", file=self._file, flush=True)


def fits(labels: Sequence[str], whole: bool, width: int) -> bool:
    """Whether a terminal of so many letters a line has room for the columns of `Screen`."""
    widths = _widths(labels, whole)
    return sum(widths) + 2 * len(widths) + _LEAST <= width


def _widths(labels: Sequence[str], whole: bool) -> list[int]:
    first = [max(len("label"), *map(len, labels)), len("probability")]
    return [*first, *(max(6, len(label)) for label in labels)] if whole else first
