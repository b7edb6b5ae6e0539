"""A fit that was cut off goes on from the end of its last whole epoch, and ends as if nothing had happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

Observe = Callable[[int, Mapping[str, float]], None]  # (epoch from 0, what was logged in it); may raise to end the fit
LAST = "last.ckpt"


def ignore(epoch: int, logged: Mapping[str, float]) -> None:
    """Nobody watches."""


class EpochSeed(Callback):
    """Seeds every generator anew for each epoch, so that an epoch does not depend on which process ran those before."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Dropout in epoch e is the same whether or not the fit was cut off before it."""
        derived = np.random.SeedSequence([self.seed, trainer.current_epoch]).generate_state(1, np.uint32)
        pl.seed_everything(int(derived[0]), verbose=False)


class History(Callback):
    """Keeps what was logged in each epoch and how long it took, moves the bar, and tells who watches.

    Args:
        advance: called with the number of rows of each training batch.
        observe: called after each epoch, also with those that an earlier run of this fit went through.
    """

    def __init__(self, advance: Callable[[int], None], observe: Observe) -> None:
        self.epochs: list[dict[str, float]] = []
        self.seconds = 0.0
        self._advance, self._observe, self._since = advance, observe, time.perf_counter()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, index: int) -> None:
        """Moves the bar."""
        self._advance(len(batch.labels))

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Notes the epoch."""
        self.epochs.append({name: float(value) for name, value in sorted(trainer.callback_metrics.items())})
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        self._observe(len(self.epochs) - 1, self.epochs[-1])

    def state_dict(self) -> dict[str, Any]:
        """What a resumed fit must know."""
        return {"epochs": self.epochs, "seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what an earlier run noted."""
        self.epochs, self.seconds = list(state_dict["epochs"]), state_dict["seconds"]
        for epoch, found in enumerate(self.epochs):
            self._observe(epoch, found)


class StraightToDisk(TorchCheckpointIO):
    """Writes a checkpoint into its file, whole or not at all; Lightning's own way has two copies of it in memory."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Weights and all else that `checkpoint` holds; there are no `storage_options`."""
        draft = Path(f"{path}.part")
        draft.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, draft)
        os.replace(draft, path)


class LastCheckpoint(Checkpoint):
    """Writes `folder/last.ckpt` at the end of each epoch, after every other callback."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LAST

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Weights, optimizer, schedule, and the state of each callback."""
        trainer.save_checkpoint(self.path)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Notes whether the fit had ended: Lightning would go on for another epoch."""
        epochs = trainer.current_epoch + 1
        checkpoint["kd_lab"] = {"epochs": epochs, "ended": trainer.should_stop or epochs == trainer.max_epochs}


def checkpoint(folder: Path) -> dict[str, Any] | None:
    """What an earlier run of this fit left behind, or None."""
    path = folder / LAST
    if not path.is_file():
        return None
    found: dict[str, Any] = torch.load(path, weights_only=True, mmap=True, map_location="cpu")
    return found
