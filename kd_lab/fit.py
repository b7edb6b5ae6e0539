"""Fits a model once; the fitted model lies in the cache."""

from __future__ import annotations

import json
import logging
import math
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from kd_lab import classifier
from kd_lab.cache import Cache, source_hash
from kd_lab.data.batches import Batches
from kd_lab.data.tokens import Tokens
from kd_lab.losses.loss import Loss
from kd_lab.models.build import ModelSpec, Surroundings
from kd_lab.models.torch_classifier import TorchClassifier
from kd_lab.module import Answers, Distillation
from kd_lab.optimizer import AdamW
from kd_lab.resume import LAST, EpochSeed, History, LastCheckpoint, Observe, checkpoint, ignore
from kd_lab.trainer import Trainer

Advance = Callable[[int], None]


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
        loaded = classifier.load(self.model)
        assert isinstance(loaded, TorchClassifier)  # `fit` saved it
        return loaded

    def about(self) -> dict[str, Any]:
        """history (one entry an epoch), seconds, device, precision."""
        found: dict[str, Any] = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return found


@dataclass(frozen=True)
class Teacher:
    """A fitted teacher and how it answers."""

    fitted: Fitted
    answers: Mapping[str, Answers]  # train, validation -> answers, from the cache or live


def parts(spec: FitSpec, tokens: str, teacher: str | None) -> dict[str, Any]:
    """All that a fit is made from.

    Args:
        tokens, teacher: fingerprints; the teacher's counts only where its outputs or its layers are used.
    """
    uses_teacher = bool(spec.loss.needs) or spec.model.starts_from_teacher
    return {
        "tokens": tokens,
        "spec": vars(spec),
        "on": spec.trainer.on_machine(),
        "teacher": teacher if uses_teacher else None,
        "code": source_hash(
            "data/batches", "fit", "losses", "metrics", "models", "module", "optimizer", "resume", "trainer"
        ),
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
        card: what `classifier.json` says beside the class.
        extras: name -> file to put beside the weights, such as the tokenizer.
        advance: called with the number of training rows done since the last call.
        observe: called after each epoch that is fitted now with its number and all that was logged.

    Raises:
        UserError: model, loss and teacher do not fit together.
        FitError: the loss is no longer a number.
    """
    spec.loss.check(len(tokens.classes), teacher is not None)
    named = parts(spec, tokens.fingerprint, teacher.fitted.fingerprint if teacher else None)

    def make(draft: Path) -> None:
        scratch = cache.unfinished("fit", named)
        try:
            model, about = _train(spec, tokens, teacher, cache, scratch, advance, observe)
        except Exception:  # it would fail again in the same way; a kill or Ctrl-C is none
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        classifier.save(model, draft / "model", card)
        for name, path in extras.items():
            shutil.copyfile(path, draft / "model" / name)
        (draft / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")

    return Fitted(cache.build("fit", named, make))


def _train(
    spec: FitSpec,
    tokens: Tokens,
    teacher: Teacher | None,
    cache: Cache,
    scratch: Path,
    advance: Advance,
    observe: Observe,
) -> tuple[TorchClassifier, dict[str, Any]]:
    settings, (device, precision) = spec.trainer, spec.trainer.on_machine()
    pl.seed_everything(spec.seed, verbose=False)
    from_layers = teacher.fitted.load() if teacher and spec.model.starts_from_teacher else None
    around = Surroundings(
        classes=len(tokens.classes),
        vocabulary=tokens.vocabulary,
        pad_id=tokens.pad_id,
        tokens=tokens.fingerprint,
        sentences=tokens.sentences,
        cache=cache,
        teacher=from_layers,
    )
    model = spec.model.build(around)
    train = Batches(tokens.split("train"), settings.batch_size, tokens.pad_id, seed=spec.seed)
    validation = Batches(tokens.split("validation"), 4 * settings.batch_size, tokens.pad_id)
    updates = math.ceil(len(train) / settings.accumulate) * settings.max_epochs
    answers = teacher.answers if teacher and spec.loss.needs else {}
    module = Distillation(model, spec.loss, spec.optimizer, updates, settings.clip_norm, answers)
    monitor = {
        "monitor": f"validation/{settings.monitor}",
        "mode": "min" if settings.monitor in ("nll", "loss") else "max",
    }
    best = ModelCheckpoint(scratch, filename="best", save_weights_only=True, enable_version_counter=False, **monitor)
    history, stop = History(advance, observe), EarlyStopping(patience=settings.patience, **monitor)
    if earlier := checkpoint(scratch):
        train.epoch = earlier["kd_lab"]["epochs"]
        advance(train.epoch * len(tokens.split("train")))
    if earlier and earlier["kd_lab"]["ended"]:
        history.load_state_dict(earlier["callbacks"][history.state_key])
    else:
        with _quiet(), _interruptible():
            pl.Trainer(
                accelerator={"cuda": "gpu"}.get(device, device),
                devices=1,
                precision=precision,
                max_epochs=settings.max_epochs,
                accumulate_grad_batches=settings.accumulate,
                callbacks=[EpochSeed(spec.seed), history, stop, best, LastCheckpoint(scratch)],
                default_root_dir=scratch,
                deterministic=True,
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            ).fit(module, train, validation, ckpt_path=scratch / LAST if earlier else None, weights_only=True)
    module.load_state_dict(torch.load(scratch / "best.ckpt", weights_only=True)["state_dict"])
    about = {"history": history.epochs, "seconds": history.seconds, "device": device, "precision": precision}
    return model.cpu().eval(), about


@contextmanager
def _interruptible() -> Iterator[None]:
    """Gives Ctrl-C its meaning back: Lightning answers it with an exit and is deaf to further ones."""
    try:
        yield
    except SystemExit as error:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from error


class _quiet(warnings.catch_warnings):  # noqa: N801 - reads like a keyword
    """Silences Lightning's start-up lines: what matters of them stands in the result."""

    def __enter__(self) -> None:
        super().__enter__()
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        self._loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *exception: Any) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
        super().__exit__(*exception)
