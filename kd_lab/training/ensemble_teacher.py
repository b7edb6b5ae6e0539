"""Several teachers as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import NonEmpty, Weight

_SUREST = 1e-12  # that a probability is kept from 0 and 1: their logits have no end
_PART = 2**14  # rows that are combined at a time


@dataclass(frozen=True)
class EnsembleTeacher:
    """The weighted mean of what several teachers say (Hinton et al., arXiv:1503.02531, section 1).

    Args:
        members: name -> a teacher as `teacher` takes one: the parts of a fit, or a ready one, or a file of answers.
        weights: name -> weight; None weighs them alike.
        mean_of: "probabilities" or "logits".
        name: what results call it.
    """

    members: Mapping[NonEmpty, Any]
    weights: Mapping[NonEmpty, Weight] | None = None
    mean_of: Literal["probabilities", "logits"] = "probabilities"
    name: NonEmpty = "ensemble"

    def __post_init__(self) -> None:
        if len(self.members) < 2:
            got = ", ".join(self.members) or "none"
            cure = "+teacher@teacher.members.first=minilm +teacher@teacher.members.second=ready adds two."
            raise UserError("teacher.members", expected="at least two teachers", got=got, cure=cure)
        if self.weights is not None and set(self.weights) != set(self.members):
            got, expected = ", ".join(self.weights), f"one for each of {', '.join(self.members)}"
            raise UserError("teacher.weights", expected=expected, got=got, cure="Name the same, or leave them out.")
        if self.weights is not None and not any(self.weights.values()):
            raise UserError("teacher.weights", expected="one above 0", got="none", cure="Leave them out.")

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its members and their shares."""
        return {"members": self.members, "shares": self.shares, "mean_of": self.mean_of}

    @property
    def shares(self) -> dict[str, float]:
        """Name -> share, 1 in sum."""
        weights = {name: 1.0 if self.weights is None else float(self.weights[name]) for name in self.members}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}


def combined(logits: Sequence[Tensor], shares: Sequence[float], mean_of: str, multi_label: bool = False) -> Tensor:
    """The mean of several teachers' logits (N, C) each, as logits (N, C) whose mean in each row is 0.

    Where a row may bear several labels, the mean is that of each label by itself, and logits are as they come. Where
    one of them says nothing of a row (NaN) the others' shares grow; NaN where none says anything.
    """
    found = torch.empty(logits[0].shape)
    for start in range(0, len(found), _PART):
        part = slice(start, start + _PART)
        found[part] = _combined([one[part] for one in logits], shares, mean_of, multi_label)
    return found


def _combined(logits: Sequence[Tensor], shares: Sequence[float], mean_of: str, multi_label: bool) -> Tensor:
    said = torch.stack([~one[:, 0].isnan() for one in logits]).double()  # (teachers, N)
    weights = said * torch.tensor(shares, dtype=torch.double)[:, None]
    weights = weights / weights.sum(0)  # NaN where none says anything
    total = torch.zeros(logits[0].shape, dtype=torch.double)
    for one, weight in zip(logits, weights, strict=True):
        known = one.double().nan_to_num()
        if mean_of == "probabilities":
            part = known.sigmoid() if multi_label else known.softmax(1)
        else:
            part = known if multi_label else known - known.mean(1, keepdim=True)
        total += weight[:, None] * part
    if multi_label:
        return (total.logit(_SUREST) if mean_of == "probabilities" else total).float()
    found = total.log() if mean_of == "probabilities" else total
    return (found - found.mean(1, keepdim=True)).float()
