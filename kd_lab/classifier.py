"""A classifier that predicts, saves itself to a folder and is loaded again, whatever it is made of."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from kd_lab.errors import UserError
from kd_lab.reading import read_json, reading
from kd_lab.types import Batch, Outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD = "classifier.json"
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
    """Saves a classifier and beside it `classifier.json`: its class and `card` (labels, max_tokens, ...)."""
    folder.mkdir(parents=True, exist_ok=True)
    classifier.save(folder)
    kind = f"{type(classifier).__module__}.{type(classifier).__qualname__}"
    (folder / CARD).write_text(json.dumps({"class": kind, **card}, indent=1), encoding="utf-8")


def read_card(folder: Path) -> dict[str, Any]:
    """The contents of a saved classifier's `classifier.json`.

    Raises:
        UserError: the folder is not one that kd_lab saved.
    """
    expected = f"a saved classifier with {CARD}"
    cure = "Name the folder of a fitted or compressed model, e.g. multirun/runs/default/model."
    if not (folder / CARD).is_file():
        got = "a folder without it" if folder.is_dir() else "no such folder"
        raise UserError(str(folder), expected=expected, got=got, cure=cure)
    card = read_json(folder / CARD, expected=expected, cure=cure)
    if not isinstance(card.get("class"), str):
        raise UserError(str(folder / CARD), expected=expected, got="one that names no class", cure=cure)
    if not card["class"].startswith("kd_lab."):
        raise _foreign(folder, card["class"])
    return card


def load(folder: Path) -> Classifier:
    """The classifier that `save` wrote into `folder`.

    Weights are safetensors, ONNX or OpenVINO: nothing that is read can run code. Links are followed, as they are read
    with the user's own rights; an export passes none on.

    Raises:
        UserError: the folder is not one that kd_lab saved, or its class is none of kd_lab's.
    """
    kind = read_card(folder)["class"]
    module, _, name = kind.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise _foreign(folder, kind) from error
    ours = isinstance(found, type) and found.__module__ == module  # what a module of ours imports is not ours
    if not ours or not hasattr(found, "load"):
        raise _foreign(folder, kind)
    with reading(folder, expected="weights that are whole and belong to its config.json", cure=AGAIN):
        classifier: Classifier = found.load(folder)
    return classifier


def _foreign(folder: Path, kind: str) -> UserError:
    return UserError(str(folder / CARD), expected="a class of kd_lab", got=kind, cure="Do not load this folder.")
