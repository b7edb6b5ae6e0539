"""How many updates a model is pre-trained for, in what batches, on what and in how many processes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, Epochs, Updates, Weight
from kd_lab.training.settings import Trainer


@dataclass(frozen=True)
class StepTrainer:
    """How long and on what a model is pre-trained.

    Args:
        max_epochs: passes over the corpus, where `max_steps` does not say how long.
        max_steps: updates; 0 leaves the model as it starts.
        batch_size: rows in a forward pass of each process.
        accumulate: forward passes to an update.
        clip_norm: largest norm of the gradient; 0 does not clip.
        precision: as in `Trainer`, but float16.
        device: "auto", "cuda", "mps" or "cpu".
        devices: how many of these, each with a process of its own; of "cpu" any number of processes.
        strategy: "ddp" has each process compute the gradient of its own rows, and all go on by their mean; "auto" is
            that where there is more than one.
        checkpoint_every: updates after which a run that is cut off can go on; it changes no weight.
    """

    max_epochs: Epochs = 1
    max_steps: Updates | None = None
    batch_size: Count = 32
    accumulate: Count = 1
    clip_norm: Weight = 1.0
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    devices: Count = 1
    strategy: Literal["auto", "ddp"] = "auto"
    checkpoint_every: Count = 200

    def fingerprint_parts(self) -> dict[str, Any]:
        """All that the weights depend on: of `strategy` and `checkpoint_every` nothing does."""
        return {name: value for name, value in vars(self).items() if name not in ("strategy", "checkpoint_every")}

    def resolve_device_and_precision(self) -> tuple[str, str]:
        """(device, precision) that really run here."""
        return self._plain().resolve_device_and_precision()

    def check(self, where: str = "trainer") -> None:
        """Refuses, before any work, what would not run here.

        Args:
            where: the trainer's place in the config.

        Raises:
            UserError: there are no such devices here, or they do not compute in this precision.
        """
        self._plain().check(where)
        device, _ = self.resolve_device_and_precision()
        there = _devices(device)
        if there is not None and self.devices > there:
            name = f"{where}.devices"
            cure = f"Choose {name}={there}, or {where}.device=cpu for processes on the processor."
            raise UserError(name, expected=f"at most {there}, as many as are here", got=str(self.devices), cure=cure)

    def updates(self, rows: int) -> int:
        """Updates in all.

        Args:
            rows: of the corpus.
        """
        if self.max_steps is not None:
            return self.max_steps
        return math.ceil(self.max_epochs * rows / self.rows_an_update)

    @property
    def rows_an_update(self) -> int:
        """Rows that an update learns from, of all processes."""
        return self.batch_size * self.accumulate * self.devices

    def _plain(self) -> Trainer:
        return Trainer(precision=self.precision, device=self.device)


def _devices(device: str) -> int | None:
    """How many there are; None for any number."""
    import torch

    return {"cuda": torch.cuda.device_count(), "mps": 1}.get(device)
