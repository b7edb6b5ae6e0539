"""A classifier that predicts, saves itself to a folder and is loaded again, whatever it is made of."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from kd_lab.errors import UserError
from kd_lab.types import Batch, Outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

CARD = "classifier.json"


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
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        module = card["class"].rpartition(".")[0]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            str(folder),
            expected=f"a saved classifier with {CARD}",
            got=f"{type(error).__name__}" if folder.is_dir() else "no such folder",
            cure="Name the folder of a fitted or compressed model, e.g. multirun/runs/default/model.",
        ) from error
    if not module.startswith("kd_lab."):
        raise _foreign(folder, card["class"])
    return card


def load(folder: Path) -> Classifier:
    """The classifier that `save` wrote into `folder`.

    Raises:
        UserError: the folder is not one that kd_lab saved, or its class is none of kd_lab's.
    """
    kind = read_card(folder)["class"]
    module, _, name = kind.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _foreign(folder, kind) from error
    ours = isinstance(found, type) and found.__module__ == module  # what a module of ours imports is not ours
    if not ours or not hasattr(found, "load"):
        raise _foreign(folder, kind)
    classifier: Classifier = found.load(folder)
    return classifier


def _foreign(folder: Path, kind: str) -> UserError:
    return UserError(str(folder / CARD), expected="a class of kd_lab", got=kind, cure="Do not load this folder.")
