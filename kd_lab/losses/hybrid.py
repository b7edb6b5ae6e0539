"""The default distillation loss: gold labels and the teacher's soft labels, with three numbers to sweep."""

from __future__ import annotations

import math
from typing import Any, Literal, cast, get_args

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Share, Temperature
from kd_lab.losses.base import checked, temperature_of
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.sequence import Sequence

Schedule = Literal["linear", "cosine"]


class Hybrid(Loss):
    """total = alpha * CE + (1 - alpha) * [(1 - sequence_weight) * KL + sequence_weight * sequence].

    `alpha` is the weight of CE; txtai, KD-Lib and OVTrainer mean its complement. A part of weight 0 is left out:
    `alpha=1` needs no teacher. Source: Hinton et al., arXiv:1503.02531, section 2, with the sequence term added.
    Where a row may bear several labels, each term is a sum over labels, see there.
    For other terms or free weights see `weighted_sum`; for LSTM students `logit_mse` (Tang et al., 1903.12136).

    Args:
        alpha: weight of the gold labels, 0 to 1.
        temperature: of the KL term, above 0.
        sequence_weight: share of the sequence term in the teacher's part, 0 to 1.
        class_weights: "balanced" has the gold labels of rare classes count for more, see `CrossEntropy`.
        alpha_end, temperature_end: what alpha and the temperature are in the last epoch; None keeps them as they are.
            Between, they change with each epoch, validation's loss with them: watch another `trainer.monitor`.
        schedule: how: in a straight "linear" line, or half a "cosine", slow at both ends.

    Raises:
        UserError: one of them is not such a number.
    """

    def __init__(
        self,
        alpha: Share,
        temperature: Temperature,
        sequence_weight: Share,
        class_weights: Literal["balanced"] | None = None,
        alpha_end: Share | None = None,
        temperature_end: Temperature | None = None,
        schedule: Schedule = "linear",
    ) -> None:
        alpha = _share("loss.alpha", alpha)
        temperature = temperature_of("loss.temperature", temperature)
        sequence_weight = _share("loss.sequence_weight", sequence_weight)
        alpha_end = None if alpha_end is None else _share("loss.alpha_end", alpha_end)
        if temperature_end is not None:
            temperature_end = temperature_of("loss.temperature_end", temperature_end)
        if schedule not in get_args(Schedule):
            cure = "Choose loss.schedule=linear."
            raise UserError("loss.schedule", expected=" or ".join(get_args(Schedule)), got=repr(schedule), cure=cure)
        at_end = _weights(alpha if alpha_end is None else alpha_end, sequence_weight)
        super().__init__(
            terms={
                "cross_entropy": CrossEntropy(class_weights=class_weights),
                "kl": KL(temperature),
                "sequence": Sequence(),
            },
            weights=_weights(alpha, sequence_weight),
            later=[name for name, weight in at_end.items() if weight],
        )
        self.alpha, self.temperature, self.sequence_weight = alpha, temperature, sequence_weight
        self.class_weights = class_weights
        self.alpha_end, self.temperature_end, self.schedule = alpha_end, temperature_end, schedule

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options; those that came later only where they are used, so that older fits keep their names."""
        first = ("alpha", "temperature", "sequence_weight", "class_weights")
        ends = {"alpha_end": self.alpha_end, "temperature_end": self.temperature_end}
        used = {name: value for name, value in ends.items() if value is not None}
        later = {**used, "schedule": self.schedule} if used else {}
        return {**{name: getattr(self, name) for name in first}, **later}

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """See `Loss`: alpha and the temperature of this epoch."""
        share = epoch / max(1, epochs - 1)
        if self.schedule == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
        if self.alpha_end is not None:
            alpha = (1 - share) * self.alpha + share * self.alpha_end
            self.weights.update(_weights(alpha, self.sequence_weight))
        if self.temperature_end is not None:
            kl = cast("KL", self.terms["kl"])
            kl.temperature = (1 - share) * self.temperature + share * self.temperature_end


def _weights(alpha: float, sequence_weight: float) -> dict[str, float]:
    return {
        "cross_entropy": alpha,
        "kl": (1 - alpha) * (1 - sequence_weight),
        "sequence": (1 - alpha) * sequence_weight,
    }


def _share(where: str, value: object) -> float:
    return checked(
        where, value, "a number from 0 to 1", lambda share: 0 <= share <= 1, f"Choose one, e.g. {where}=0.5."
    )
