"""How long a model is fitted, in what batches, and on what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from kd_lab.core.errors import UserError
from kd_lab.core.machine import best_device, best_precision, has_device
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Epochs, Weight

_OfAny = Literal["accuracy", "f1_macro", "f1_weighted", "nll", "loss"]
_OfOneLabel = Literal["balanced_accuracy", "mcc"]
_OfSeveralLabels = Literal["mean_average_precision", "f1_micro"]
Monitor = Literal[_OfAny, _OfOneLabel, _OfSeveralLabels]  # a figure on validation
MULTI_CLASS_ONLY = get_args(_OfOneLabel)  # figures of rows that bear one label
MULTI_LABEL_ONLY = get_args(_OfSeveralLabels)  # of rows that may bear several


@dataclass(frozen=True)
class Trainer:
    """How long and on what a model is fitted.

    Args:
        max_epochs: passes over train at most; 0 leaves the model as it starts, for its size and speed alone.
        batch_size: rows in a forward pass.
        accumulate: forward passes to an update.
        clip_norm: largest norm of the gradient; 0 does not clip.
        patience: epochs without a better `monitor` after which the fit stops.
        monitor: "accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "mcc" (higher is better), "nll" or "loss"
            (lower is better), on validation; where a row may bear several labels "mean_average_precision" and
            "f1_micro" too, and neither "balanced_accuracy" nor "mcc".
        precision: "auto" chooses for the device, else Lightning's name: "32-true", "bf16-mixed", or "16-mixed" on an
            NVIDIA GPU. Weights and their updates are float32 in all of them; see `check`.
        device: "auto", "cuda", "mps" or "cpu".
        sampling: "shuffle" goes through every row once in an epoch; "balanced" draws as many, of every class equally
            often, see `balanced_rows`. Beside it `class_weights=balanced` changes nothing: the classes drawn are even.
    """

    max_epochs: Epochs = 4
    batch_size: Count = 32
    accumulate: Count = 1
    clip_norm: Weight = 1.0
    patience: Count = 3
    monitor: Monitor = "accuracy"
    precision: Literal["auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed", "64-true"] = "auto"
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    sampling: Literal["shuffle", "balanced"] = "shuffle"

    def __post_init__(self) -> None:
        check_fields(self, "trainer")

    def fingerprint_parts(self) -> dict[str, Any]:
        """All options; rows that are shuffled, as they always were, rename nothing."""
        return {name: value for name, value in vars(self).items() if (name, value) != ("sampling", "shuffle")}

    def resolve_device_and_precision(self) -> tuple[str, str]:
        """(device, precision) that really run here."""
        device = best_device() if self.device == "auto" else self.device
        return device, best_precision(device) if self.precision == "auto" else self.precision

    def check(self, where: str = "trainer") -> None:
        """Refuses, before any training, what would not run here or would run as something else.

        Lightning runs "16-mixed" on a CPU as bfloat16. "bf16-true" and "64-true" are not offered: weights in bfloat16
        lose every update below 1/256 of them, torch's fused AdamW takes neither beside gradients that are clipped,
        and what is fitted is judged and saved in float32 anyway.

        Args:
            where: the trainer's place in the config, "trainer" or "teacher.trainer".

        Raises:
            UserError: there is no such device here, or it does not compute in this precision.
        """
        if self.device in ("cuda", "mps") and not has_device(self.device):
            name = {"cuda": "an NVIDIA GPU", "mps": "an Apple GPU"}[self.device]
            cure = f"Choose {where}.device=auto."
            raise UserError(f"{where}.device={self.device}", expected=f"{name} here", got="none", cure=cure)
        device, precision = self.resolve_device_and_precision()
        if precision.endswith("-true") and precision != "32-true":
            other = "32-true" if precision == "64-true" else "bf16-mixed"
            raise UserError(
                f"{where}.precision",
                expected="one that keeps the weights in float32",
                got=precision,
                cure=f"Choose {where}.precision={other}.",
            )
        if precision == "16-mixed" and device != "cuda":
            raise UserError(
                f"{where}.precision",
                expected=f"a precision in which {'a CPU' if device == 'cpu' else device} is trained on",
                got=f"{precision}, which is for NVIDIA GPUs",
                cure=f"Choose {where}.precision=bf16-mixed.",
            )
