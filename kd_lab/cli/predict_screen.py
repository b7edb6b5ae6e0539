"""Shows the answers of `kd-lab predict` on a terminal: aligned, a line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO

from kd_lab.cli.predict_input import InputTexts
from kd_lab.core.tables import MISSING
from kd_lab.serving.cascade import CascadeOutput

_SEVERAL = 30  # letters for several labels
_LEAST = 20  # letters of a text that a terminal must have room for


class Screen:
    """Label, probabilities, and as much of the text as fits on the line; `-` where no label is said.

    Args:
        file: the terminal.
        labels: all classes, in the model's order.
        whole: whether to show the probabilities of all classes.
        width: of the terminal, in letters; see `fits`.
        multi_label: whether a text may bear several labels.
    """

    def __init__(self, file: TextIO, labels: Sequence[str], whole: bool, width: int, multi_label: bool = False) -> None:
        self._file, self._widths = file, _widths(labels, whole, multi_label)
        self._left = max(_LEAST, width - sum(self._widths) - 2 * len(self._widths) - 1)
        self._print(["labels" if multi_label else "label", "probability", *(labels if whole else ())], "text")

    def write(self, inputs: InputTexts, answers: CascadeOutput) -> None:
        """A line for each text of `inputs`, in order; the answers are those to `inputs.asked`."""
        places = {row: place for place, row in enumerate(inputs.asked)}
        for row, text in enumerate(inputs.texts):
            place = places.get(row)
            label = None if place is None else answers.labels[place]
            values = () if place is None else (answers.confidence[place], *answers.probabilities[place])
            shown = [f"{value:.4f}" for value in values] or [MISSING] * len(self._widths)
            other = f" | {inputs.seconds[row]}" if inputs.seconds else ""
            told = ", ".join(label) if isinstance(label, list) else label
            self._print([told or MISSING, *shown[: len(self._widths) - 1]], text + other)

    def _print(self, fields: Sequence[Any], text: str) -> None:
        visible = "".join(letter if letter.isprintable() else " " for letter in text[: self._left + 1])
        cut = visible if len(visible) <= self._left else f"{visible[: self._left - 1]}…"
        places = zip(fields, self._widths, strict=True)
        print(
            *(f"{_within(str(field), width):<{width}}" for field, width in places),
            cut,
            sep="  ",
            file=self._file,
            flush=True,
        )


def _within(field: str, width: int) -> str:
    """The field, cut where it is longer: several labels may be."""
    return field if len(field) <= width else f"{field[: width - 1]}…"


def fits(labels: Sequence[str], whole: bool, width: int, multi_label: bool = False) -> bool:
    """Whether a terminal of so many letters a line has room for the columns of `Screen`."""
    widths = _widths(labels, whole, multi_label)
    return sum(widths) + 2 * len(widths) + _LEAST < width


def _widths(labels: Sequence[str], whole: bool, multi_label: bool) -> list[int]:
    several = min(sum(map(len, labels)) + 2 * len(labels), _SEVERAL)
    first = [several if multi_label else max(len("label"), *map(len, labels)), len("probability")]
    return [*first, *(max(6, len(label)) for label in labels)] if whole else first
