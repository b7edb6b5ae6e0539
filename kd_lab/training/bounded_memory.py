"""A fit whose batches are of unlike lengths holds little more memory than it uses."""

from __future__ import annotations

from typing import Any

from pytorch_lightning.callbacks import Callback

from kd_lab.core.process_tuning import FreedMemory


class BoundedMemory(Callback):
    """Has `FreedMemory` look after each batch of train."""

    def __init__(self) -> None:
        self._freed = FreedMemory()

    def on_train_batch_end(self, *batch: Any) -> None:
        """Gives back what batches left in pieces, where that is much."""
        self._freed.bound()
