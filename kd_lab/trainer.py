"""How long a model is fitted, in what batches, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kd_lab.errors import UserError
from kd_lab.machine import best_device, best_precision
from kd_lab.option_types import Count, Epochs, Weight


@dataclass(frozen=True)
class Trainer:
    """How long and on what a model is fitted.

    Args:
        max_epochs: passes over train at most; 0 leaves the model as it starts, for its size and speed alone.
        batch_size: rows in a forward pass.
        accumulate: forward passes to an update.
        clip_norm: largest norm of the gradient; 0 does not clip.
        patience: epochs without a better `monitor` after which the fit stops.
        monitor: "accuracy", "f1_macro", "mcc" (higher is better), "nll" or "loss" (lower is better), on validation.
        precision: "auto" chooses for the device, else Lightning's name, e.g. "32-true" or "bf16-mixed".
        device: "auto", "cuda", "mps" or "cpu".
    """

    max_epochs: Epochs = 4
    batch_size: Count = 32
    accumulate: Count = 1
    clip_norm: Weight = 1.0
    patience: Count = 3
    monitor: Literal["accuracy", "f1_macro", "mcc", "nll", "loss"] = "accuracy"
    precision: Literal["auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed", "64-true"] = "auto"
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"

    def __post_init__(self) -> None:
        for name in ("max_epochs", "batch_size", "accumulate", "patience"):
            value, least = getattr(self, name), 0 if name == "max_epochs" else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UserError(
                    f"trainer.{name}", expected=f"a whole number from {least}", got=repr(value), cure="Give another."
                )
        for name, allowed in (
            ("monitor", ("accuracy", "f1_macro", "mcc", "nll", "loss")),
            ("device", ("auto", "cuda", "mps", "cpu")),
            ("precision", ("auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed", "64-true")),
        ):
            if getattr(self, name) not in allowed:
                got = repr(getattr(self, name))
                raise UserError(f"trainer.{name}", expected=f"one of {', '.join(allowed)}", got=got, cure="Choose one.")

    def on_machine(self) -> tuple[str, str]:
        """(device, precision) that really run here."""
        device = best_device() if self.device == "auto" else self.device
        return device, best_precision(device) if self.precision == "auto" else self.precision
