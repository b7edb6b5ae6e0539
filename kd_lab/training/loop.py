"""The training loop: a model that is there learns for some epochs, and goes on where it was cut off."""

from __future__ import annotations

import logging
import math
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, LambdaCallback

from kd_lab.core.process_settings import process_settings_kept
from kd_lab.core.process_tuning import FreedMemory
from kd_lab.core.progress import Advance
from kd_lab.core.types import Batch, Outputs
from kd_lab.data.balanced_rows import class_counts
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens, TokenSplit
from kd_lab.losses.loss import Loss
from kd_lab.models.base import TorchClassifier
from kd_lab.training.active_embedding import only_active_rows
from kd_lab.training.checkpointing import (
    BEST,
    LAST,
    BestCheckpoint,
    EpochSeed,
    History,
    LastCheckpoint,
    Observe,
    StraightToDisk,
    checkpoint,
    ignore,
)
from kd_lab.training.lightning_module import Distillation, TeacherOutputs
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.weight_constraint import WeightConstraint


@process_settings_kept()
def train(
    model: TorchClassifier,
    loss: Loss,
    optimizer: AdamW,
    settings: Trainer,
    seed: int,
    tokens: Tokens,
    teacher_outputs: Mapping[str, TeacherOutputs],
    scratch: Path,
    *,
    keep: Literal["best", "last"] = "best",
    constraint: WeightConstraint | None = None,
    advance: Advance = lambda rows: None,
    observe: Observe = ignore,
) -> dict[str, Any]:
    """Trains the model in place and leaves it in evaluation mode on the CPU.

    What it needs of torch's settings and generators (deterministic algorithms, a seed for each epoch) is the caller's
    again when it returns or raises. `process_tuning.keep_freed_memory` makes it quicker, and is the caller's to call:
    it cannot be taken back.

    Args:
        teacher_outputs: split -> the teacher's answers; empty where the loss asks for none.
        scratch: where checkpoints lie; those of an earlier call that was cut off are gone on from.
        keep: "best" ends with the best epoch's weights and stops early when none gets better; "last" goes through all
            epochs and ends with the last one's.
        constraint: what is imposed on the weights meanwhile.
        advance: called with the number of training rows done since the last call.
        observe: called after each epoch with its number and all that was logged.

    Returns:
        history (one entry an epoch), seconds, device, precision.

    Raises:
        UserError: the device is not there, or does not compute in that precision.
        Diverged: the loss is no longer a number.
    """
    settings.check()
    device, precision = settings.resolve_device_and_precision()
    if not settings.max_epochs:
        model.cpu().eval()
        return {"history": [], "seconds": 0.0, "device": device, "precision": precision}
    if isinstance(loss, Loss):  # a user's own may be none
        loss.prepare(*_class_counts(tokens, settings))
        if loss.has_weights:
            loss.build(*_one_row(model, loss, tokens, teacher_outputs))
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # nobody reads it
    split = tokens.split("train")
    learned = learned_from(split, loss, teacher_outputs.get("train"))
    balanced = settings.sampling == "balanced"
    rows = BatchLoader(split, settings.batch_size, tokens.pad_id, seed=seed, rows=learned, balanced=balanced)
    validation = BatchLoader(tokens.split("validation"), 4 * settings.batch_size, tokens.pad_id)
    total_steps = math.ceil(len(rows) / settings.accumulate) * settings.max_epochs
    history, freed = History(advance, observe), FreedMemory()
    bounded = LambdaCallback(on_train_batch_end=lambda *batch: freed.bound())
    callbacks = [EpochSeed(seed), history, bounded, *(_best(settings, scratch) if keep == "best" else [])]
    if earlier := checkpoint(scratch, best=keep == "best"):
        rows.epoch = earlier["kd_lab"]["epochs"]
        advance(rows.epoch * len(rows.rows))
    seen = [tokens.split(name).token_ids for name in ("train", "validation")]
    with nullcontext() if constraint else only_active_rows(model, seen, tokens.pad_id):
        module = Distillation(
            model.train(), loss, optimizer, total_steps, settings.clip_norm, teacher_outputs, constraint
        )
        if earlier and earlier["kd_lab"]["ended"]:
            history.load_state_dict(earlier["callbacks"][history.state_key])
        else:
            with _quiet(), _interruptible():
                trainer = _trainer(settings, [*callbacks, LastCheckpoint(scratch)], scratch)
                before = scratch / LAST if earlier else None
                trainer.fit(module, rows, validation, ckpt_path=before, weights_only=True)
        end = scratch / (BEST if keep == "best" else LAST)
        module.load_state_dict(torch.load(end, weights_only=True)["state_dict"])
        if constraint:
            constraint.before_forward()
    model.cpu().eval()
    return {"history": history.epochs, "seconds": history.seconds, "device": device, "precision": precision}


def _class_counts(tokens: Tokens, settings: Trainer) -> tuple[torch.Tensor, int]:
    """(C,) rows of train that bear each class, as an epoch goes through them; and how many have a label at all."""
    train = tokens.split("train")
    gold = train.gold(train.labelled)
    counts = gold.sum(axis=0) if train.label_sets is not None else class_counts(gold, len(tokens.classes))
    if settings.sampling == "balanced":  # alike, but for the one row by which an epoch's draw may differ
        counts = np.where(counts > 0, max(1, counts.sum() // max(1, (counts > 0).sum())), 0)
    return torch.from_numpy(counts), len(gold)


def _one_row(
    model: TorchClassifier, loss: Loss, tokens: Tokens, teacher_outputs: Mapping[str, TeacherOutputs]
) -> tuple[Outputs, Batch]:
    """What model and teacher say of a row of train, for their shapes alone."""
    batch = BatchLoader(tokens.split("train"), 1, tokens.pad_id).batch(np.array([0]))
    if ask := teacher_outputs.get("train"):
        batch = batch._replace(teacher=ask(batch))
    model.returns = loss.returns
    with torch.no_grad():
        outputs: Outputs = model.cpu().eval()(batch)
    return outputs, batch


def learned_from(train: TokenSplit, loss: Loss, teacher: TeacherOutputs | None = None) -> np.ndarray:
    """(N,) ids of the rows of train that a fit goes through.

    Those without a label are among them where a teacher judges them, or the loss has a use for them without one.
    """
    if getattr(loss, "uses_unlabelled", False):  # a user's own may be no `Loss`
        return np.arange(len(train))
    if not loss.needs:
        return train.labelled
    answered = getattr(teacher, "answered", None)
    if answered is None:
        return np.arange(len(train))
    answered = answered.copy()
    answered[train.labelled] = True
    return np.flatnonzero(answered)


def _trainer(settings: Trainer, callbacks: list[Callback], scratch: Path) -> pl.Trainer:
    device, precision = settings.resolve_device_and_precision()
    return pl.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=1,
        precision=precision,
        max_epochs=settings.max_epochs,
        accumulate_grad_batches=settings.accumulate,
        callbacks=callbacks,
        plugins=[StraightToDisk()],
        default_root_dir=scratch,
        deterministic=True,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _best(settings: Trainer, scratch: Path) -> list[Callback]:
    """Keeps the best epoch's weights, and stops when none gets better."""
    monitor = {
        "monitor": f"validation/{settings.monitor}",
        "mode": "min" if settings.monitor in ("nll", "loss") else "max",
    }
    best = BestCheckpoint(
        scratch, filename=Path(BEST).stem, save_weights_only=True, enable_version_counter=False, **monitor
    )
    return [EarlyStopping(patience=settings.patience, **monitor), best]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Gives Ctrl-C its meaning back: Lightning answers it with an exit and is deaf to further ones."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        signal.signal(signal.SIGINT, handler)
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
