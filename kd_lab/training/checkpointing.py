"""A fit that was cut off goes on from the end of its last whole epoch, and ends as if nothing had happened."""

from __future__ import annotations

import os
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from kd_lab.core.progress import say

Observe = Callable[[int, Mapping[str, float]], None]  # (epoch from 0, what was logged in it); may raise to end the fit
LAST, BEST = "last.ckpt", "best.ckpt"


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


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, which knows the best epoch also where the folder has been moved since: else a worse one follows."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what an earlier run noted, as of the folder where it lies now."""

        def here(path: str) -> str:
            return path and str(Path(str(self.dirpath)) / Path(path).name)

        paths = {name: here(path) for name, path in state_dict.items() if name.endswith("_path")}
        scores = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath})


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


def checkpoint(folder: Path, best: bool) -> dict[str, Any] | None:
    """What an earlier run of this fit left behind, or None.

    Args:
        folder: where it lies. A damaged file is set aside there, and nothing is gone on from.
        best: whether the best epoch's weights must lie there too.
    """
    files = [folder / name for name in (LAST, *([BEST] if best else []))]
    if not files[0].is_file():
        return None
    damaged = [path for path in files if not _whole(path)]
    for path in damaged:
        if path.exists():
            os.replace(path, path.with_name(f"{path.name}.damaged"))
    if damaged:
        say(f"warning: {damaged[0]} is damaged: it is set aside, and the fit begins anew")
        return None
    found: dict[str, Any] = torch.load(files[0], weights_only=True, mmap=True, map_location="cpu")
    return found


def _whole(path: Path) -> bool:
    """Whether every record of a checkpoint, a zip archive, still has its checksum: mapped, torch would not look."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False
