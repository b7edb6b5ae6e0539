"""The default distillation loss: gold labels and the teacher's soft labels, with three numbers to sweep."""

from __future__ import annotations

from typing import Literal

from kd_lab.core.option_types import Share, Temperature
from kd_lab.losses.loss import Loss, checked, temperature_of
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.sequence import Sequence


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

    Raises:
        UserError: one of them is not such a number.
    """

    def __init__(
        self,
        alpha: Share,
        temperature: Temperature,
        sequence_weight: Share,
        class_weights: Literal["balanced"] | None = None,
    ) -> None:
        alpha = _share("loss.alpha", alpha)
        temperature = temperature_of("loss.temperature", temperature)
        sequence_weight = _share("loss.sequence_weight", sequence_weight)
        super().__init__(
            terms={
                "cross_entropy": CrossEntropy(class_weights=class_weights),
                "kl": KL(temperature),
                "sequence": Sequence(),
            },
            weights={
                "cross_entropy": alpha,
                "kl": (1 - alpha) * (1 - sequence_weight),
                "sequence": (1 - alpha) * sequence_weight,
            },
        )
        self.alpha, self.temperature, self.sequence_weight = alpha, temperature, sequence_weight
        self.class_weights = class_weights


def _share(where: str, value: object) -> float:
    return checked(
        where, value, "a number from 0 to 1", lambda share: 0 <= share <= 1, f"Choose one, e.g. {where}=0.5."
    )
