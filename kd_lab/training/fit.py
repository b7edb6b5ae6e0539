"""Fits a model once; the fitted model lies in the cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl

from kd_lab.core.cache import Cache
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import Diverged, GivenUp
from kd_lab.core.formats import check_saved
from kd_lab.core.process_settings import process_settings_kept
from kd_lab.core.progress import Advance
from kd_lab.data.tokenized import Tokens
from kd_lab.data.tokenizer_file import TOKENIZER
from kd_lab.losses.loss import Loss
from kd_lab.models import saved_model
from kd_lab.models.base import TorchClassifier
from kd_lab.models.spec import BuildContext, ModelSpec
from kd_lab.training.checkpointing import Observe, ignore
from kd_lab.training.lightning_module import TeacherOutputs
from kd_lab.training.loop import train
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.weight_constraint import WeightConstraint


@dataclass(frozen=True)
class FitSpec:
    """All that decides a fit but its data and its teacher."""

    model: ModelSpec
    loss: Loss
    optimizer: AdamW
    trainer: Trainer
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """A fitted model in the cache."""

    folder: Path

    @property
    def fingerprint(self) -> str:
        """Its name in the cache."""
        return self.folder.name

    @property
    def model(self) -> Path:
        """The saved classifier."""
        return self.folder / "model"

    def load(self) -> TorchClassifier:
        """The model, in evaluation mode."""
        loaded = saved_model.load(self.model)
        assert isinstance(loaded, TorchClassifier)  # `fit` saved it
        return loaded

    def about(self) -> dict[str, Any]:
        """history (one entry an epoch), seconds, device, precision."""
        found: dict[str, Any] = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return found


@dataclass(frozen=True)
class Teacher:
    """A teacher, and what it says of the rows that are learned from."""

    fingerprint: str
    outputs: Mapping[str, TeacherOutputs]  # train, validation -> its outputs, from the cache or live
    fitted: Fitted | None = None  # the model, where it is one


def fingerprint_parts(spec: FitSpec, tokens: str, teacher: str | None) -> dict[str, Any]:
    """All that a fit is made from.

    Args:
        tokens, teacher: fingerprints; the teacher's counts only where its outputs or its layers are used.
    """
    uses_teacher = bool(spec.loss.needs) or spec.model.starts_from_teacher
    return {
        "tokens": tokens,
        "spec": vars(spec),
        "on": spec.trainer.resolve_device_and_precision(),
        "teacher": teacher if uses_teacher else None,
        "code": code_hash("kd_lab.training.fit", vars(spec)),
        "outputs": code_hash("kd_lab.training.teacher_outputs") if uses_teacher else None,
    }


def fit(
    spec: FitSpec,
    tokens: Tokens,
    teacher: Teacher | None,
    cache: Cache,
    card: Mapping[str, Any],
    extras: Mapping[str, Path],
    advance: Advance = lambda rows: None,
    observe: Observe = ignore,
) -> Fitted:
    """The fitted model, from the cache or fitted now; a fit that was cut off goes on from its last whole epoch.

    Args:
        card: what `classifier.json` says beside the format.
        extras: name -> file to put beside the weights, such as the tokenizer.
        advance: called with the number of training rows done since the last call.
        observe: called after each epoch that is fitted now with its number and all that was logged.

    Raises:
        UserError: model, loss and teacher do not fit together.
        Diverged: the loss is no longer a number.
    """
    spec.loss.check(len(tokens.classes), teacher is not None, tokens.multi_label)
    named = fingerprint_parts(spec, tokens.fingerprint, teacher.fingerprint if teacher else None)

    def make(draft: Path) -> None:
        scratch = cache.unfinished("fit", named)
        fits_itself = getattr(spec.model, "fits_itself", False)
        settings = replace(spec.trainer, max_epochs=0) if fits_itself else spec.trainer
        given = (spec.loss, spec.optimizer, settings, spec.seed, tokens, _outputs(spec, teacher), scratch)
        try:
            with process_settings_kept():
                model = _built(spec, tokens, teacher, cache, extras.get(TOKENIZER))
                about = train(model, *given, advance=advance, observe=observe)
        except (Diverged, GivenUp):  # it would end so again; after anything else the next run goes on from here
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        saved_model.save(model, draft / "model", card)
        for name, path in extras.items():
            shutil.copyfile(path, draft / "model" / name)
        (draft / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    return Fitted(cache.build("fit", named, make))


def _built(
    spec: FitSpec, tokens: Tokens, teacher: Teacher | None, cache: Cache, tokenizer: Path | None
) -> TorchClassifier:
    """The model as it starts; every generator begins at the seed."""
    pl.seed_everything(spec.seed, verbose=False)
    source = teacher if teacher and teacher.fitted and spec.model.starts_from_teacher else None
    context = BuildContext(
        classes=len(tokens.classes),
        vocab_size=tokens.vocab_size,
        pad_id=tokens.pad_id,
        tokens=tokens.fingerprint,
        sentences=tokens.sentences,
        cache=cache,
        teacher=source.fitted.load() if source and source.fitted else None,
        teacher_fingerprint=source.fingerprint if source else None,
        tokenizer=tokenizer,
        labels=lambda: np.asarray(tokens.split("train").labels),
    )
    model = spec.model.build(context)
    check_saved(type(model), "model")
    return model


@process_settings_kept()
def recover(
    spec: FitSpec,
    teacher: Teacher | None,
    scratch: Path,
    model: TorchClassifier,
    tokens: Tokens,
    *,
    epochs: int,
    lr_scale: float,
    constraint: WeightConstraint | None = None,
    advance: Advance = lambda rows: None,
) -> dict[str, Any]:
    """Trains a fitted model on, in place, under the loss and the teacher of its fit.

    Args:
        spec, teacher: of its fit.
        scratch: where checkpoints lie; those of an earlier call that was cut off are gone on from.
        tokens: the data set as the model reads it now; the same rows in the same order as at its fit.
        epochs: passes over train, the last one's weights are kept.
        lr_scale: peak learning rates as a share of the fit's.
        constraint: what is imposed on the weights meanwhile.

    Returns:
        history (one entry an epoch), seconds, device, precision.

    Raises:
        FitError: the loss is no longer a number.
    """
    pl.seed_everything(spec.seed, verbose=False)
    settings = replace(spec.trainer, max_epochs=epochs)
    given = (spec.loss, spec.optimizer.scaled(lr_scale), settings, spec.seed, tokens, _outputs(spec, teacher), scratch)
    return train(model, *given, keep="last", constraint=constraint, advance=advance)


def _outputs(spec: FitSpec, teacher: Teacher | None) -> Mapping[str, TeacherOutputs]:
    return teacher.outputs if teacher and spec.loss.needs else {}
