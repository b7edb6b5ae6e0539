"""What is left of a fitted model after the steps of compression: its name, its files, how it trains on meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.step import Step, apply_all
from kd_lab.compression.without_dropout import without_dropout
from kd_lab.core.code_hash import code_hash
from kd_lab.core.formats import ONNX
from kd_lab.core.progress import Advance
from kd_lab.data.tokenizer_file import TOKENIZER
from kd_lab.models import saved_model
from kd_lab.models.base import CONFIG, TorchClassifier
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.training import fit
from kd_lab.training.fit import FitSpec, Fitted, Teacher
from kd_lab.training.weight_constraint import WeightConstraint

MODEL, NOTES = "model", "notes.json"


@dataclass(frozen=True)
class Recovery:
    """Trains a model on for a step of compression; what was learned when it was cut off is not learned again.

    Args:
        spec: the loss and the optimizer; no training at all where the fit had no epochs either.
        teacher: whose answers the loss is given; None where there are none.
        dropout: whether the model's dropout works meanwhile.
        advance: called with the number of training rows done since the last call.
    """

    spec: FitSpec
    teacher: Teacher | None
    dropout: bool
    advance: Advance

    def __call__(
        self,
        model: TorchClassifier,
        context: CompressionContext,
        epochs: int,
        lr_scale: float,
        constraint: WeightConstraint | None,
    ) -> None:
        """Trains `model` in place; each call keeps its checkpoints, and notes its epochs, apart from the others'."""
        done = context.notes.setdefault("training", {})
        step = {} if context.step is None else {"step": context.step}
        if not self.spec.trainer.max_epochs:
            skipped = "trainer.max_epochs=0: not fitted, so not trained on either"
            done[str(len(done))] = {**step, "epochs": [], "seconds": 0.0, "skipped": skipped}
            return
        scratch = context.scratch / str(len(done))
        with nullcontext() if self.dropout else without_dropout(model):
            about = fit.recover(
                self.spec,
                self.teacher,
                scratch,
                model,
                context.tokens,
                epochs=epochs,
                lr_scale=lr_scale,
                constraint=constraint,
                advance=self.advance,
            )
        done[scratch.name] = {**step, "epochs": about["history"], "seconds": round(about["seconds"], 3)}


def epochs(steps: Mapping[str, Step]) -> int:
    """For how many epochs the steps train on; 0 where none does."""
    return sum(getattr(option, "epochs", 0) for option in steps.values())


def fingerprint_parts(fit: str, steps: Mapping[str, Step], recovery: str) -> dict[str, Any]:
    """All that a compressed model is made from.

    Args:
        fit: fingerprint of the fitted model.
        steps: name -> step, in order.
        recovery: whom a step that trains on learns from; it counts only where one does.
    """
    found = {"fit": fit, "steps": list(steps.items()), "code": code_hash("kd_lab.compression.apply", steps)}
    return found | ({"recovery": recovery} if epochs(steps) else {})


def make(fitted: Fitted, steps: Mapping[str, Step], context: CompressionContext, folder: Path) -> None:
    """Writes the small classifier, its tokenizer and what the steps have to say into the folder.

    Raises:
        UserError: a step cannot take what it is given.
        FitError: a step trained on, and the loss is no longer a number.
    """
    card = {key: value for key, value in saved_model.read_card(fitted.model).items() if key != "format"}
    small = apply_all(steps, fitted.load(), context)
    card |= {"pad_id": context.tokens.pad_id, "pairs": context.tokens.pairs, "compression": list(steps)}
    saved_model.save(small, folder / MODEL, card)
    source = context.trained
    if saved_model.read_card(folder / MODEL)["format"] == ONNX and isinstance(source, EncoderClassifier):
        told = {**source.config, "architectures": [type(source.net).__name__]}  # what Optimum and others look for
        (folder / MODEL / CONFIG).write_text(json.dumps(told, indent=1), encoding="utf-8")
    shutil.copyfile(context.tokenizer, folder / MODEL / TOKENIZER)
    (folder / NOTES).write_text(json.dumps(context.notes, indent=1), encoding="utf-8")


def notes(model: Path) -> dict[str, Any]:
    """What the steps had to say of what they did, of the model that lies in this folder."""
    found: dict[str, Any] = json.loads((model.parent / NOTES).read_text(encoding="utf-8"))
    return found
