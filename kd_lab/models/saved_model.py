"""A classifier that predicts, saves itself to a folder and is loaded again, whatever it is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from kd_lab.core.errors import UserError
from kd_lab.core.formats import FORMATS, class_of, format_of, known_format
from kd_lab.core.reading import read_json, reading
from kd_lab.core.types import Batch, Outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD = "classifier.json"
WEIGHT_FILES = (
    ".safetensors",
    ".onnx",
    ".bin",
    ".xml",
)  # the last two are OpenVINO's: numbers, and the graph over them
AGAIN = "Export the cell again, e.g. kd-lab export STUDY/CELL --to DIR."


class Classifier(Protocol):
    """What every fitted or compressed model can do."""

    def __call__(self, batch: Batch) -> Outputs:
        """What it says about a batch; on the CPU unless it was moved."""

    def save(self, folder: Path) -> None:
        """Writes its files into `folder`, weights as safetensors or ONNX."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote."""

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights that were learned, at whatever precision they are kept."""


def save(classifier: Classifier, folder: Path, card: Mapping[str, Any]) -> None:
    """Saves a classifier and beside it `classifier.json`: its format and `card` (labels, max_tokens, ...)."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save(folder)
    told = {"format": format_of(type(classifier)), **card}
    (folder / CARD).write_text(json.dumps(told, indent=1), encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The contents of a saved classifier's `classifier.json`; its `format` is one of `FORMATS`.

    Raises:
        UserError: the folder is not one that kd_lab saved, or a later one saved it.
    """
    expected = f"a saved classifier with {CARD}"
    cure = "Name the folder of a fitted or compressed model, e.g. multirun/runs/default/model."
    if not (folder / CARD).is_file():
        got = "a folder without it" if folder.is_dir() else "no such folder"
        raise UserError(str(folder), expected=expected, got=got, cure=cure)
    card = read_json(folder / CARD, expected=expected, cure=cure)
    told = card.pop("class", None)  # what stands for a format in a folder of kd_lab 0.1
    told = card.get("format", told)
    if not isinstance(told, str):
        raise UserError(str(folder / CARD), expected=expected, got="one that names no format", cure=cure)
    if (found := known_format(told)) is None:
        expected = f"a format that this kd_lab reads: {', '.join(FORMATS)}"
        cure = "If a later kd_lab saved it, pip install -U kd_lab; else do not load this folder."
        raise UserError(str(folder / CARD), expected=expected, got=told[:100], cure=cure)
    return {"format": found, **card}


def load(folder: Path) -> Classifier:
    """The classifier that `save` wrote into `folder`.

    Weights are safetensors, ONNX or OpenVINO: nothing that is read can run code. Links are followed, as they are read
    with the user's own rights; an export passes none on.

    Raises:
        UserError: the folder is not one that kd_lab saved, or a later one saved it.
    """
    found = class_of(read_card(folder)["format"])
    with reading(folder, expected="weights that are whole and belong to its config.json", cure=AGAIN):
        classifier: Classifier = found.load(folder)
    return classifier
