"""Any terms, each with its own weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Weight
from kd_lab.losses.base import Term, weight_of
from kd_lab.losses.loss import Loss


class WeightedSum(Loss):
    """total = sum over terms of weight * term.

    Args:
        terms: name -> term.
        weights: name -> weight, finite and at least 0; one for each term, not all 0. They need not sum to 1.

    Raises:
        UserError: the names differ, or a weight is not such a number.
    """

    def __init__(self, terms: Mapping[str, Term], weights: Mapping[str, Weight]) -> None:
        if set(terms) != set(weights):
            raise UserError(
                "loss.weights",
                expected=f"one weight for each term, {', '.join(sorted(terms)) or 'of which there is none'}",
                got=", ".join(sorted(weights)) or "none",
                cure="Name the same under loss.terms and loss.weights.",
            )
        numbers = {name: weight_of(f"loss.weights.{name}", weight) for name, weight in weights.items()}
        if not any(numbers.values()):
            raise UserError(
                "loss.weights",
                expected="a weight above 0",
                got=str(numbers),
                cure="Give the term to train with a weight, e.g. 1.",
            )
        super().__init__(terms, numbers)

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its terms and their weights, for naming what is made with it."""
        return {"terms": dict(self.terms.items()), "weights": self.weights}
