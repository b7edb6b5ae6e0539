"""How far the student's answer to a text moves where its word vectors move a little, in the worst direction."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.option_types import Count, Weight
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, checked, require, whole_of, wide

_SCALE = 1024.0  # of what gives a direction alone: float16 holds no smaller slopes


class VirtualAdversarial(Term):
    """mean over rows of KL(p(x) || p(x + r)), nats: virtual adversarial training of text (arXiv:1605.07725, section 3).

    r moves a row's word vectors by `epsilon` times their length, in the direction in which the answer changes most:
    that of the slope of KL(p(x) || p(x + xi d)), d random. p(x) counts as constant. Needs no teacher and no labels:
    rows of train without a label count beside the others (Sachan et al., AAAI 2019, section 3). 0 at a student that
    says the same of everything: beside a term that says which class is right, never alone. Each step takes
    `iterations` + 1 more passes, with the dropout of the first. Not taken on validation, where it is logged as 0.

    Args:
        epsilon: length of r, as a share of the length of the row's word vectors taken together.
        xi: the same of the step by which the slope is found, above 0.
        iterations: how often the direction is made better.
    """

    stands_alone: ClassVar[bool] = False
    uses_unlabelled: ClassVar[bool] = True
    perturbs: ClassVar[bool] = True

    def __init__(self, epsilon: Weight = 0.1, xi: Weight = 0.1, iterations: Count = 1) -> None:
        super().__init__()
        where, cure = "loss.terms.virtual_adversarial", "Choose e.g. 0.1."
        self.epsilon = checked(f"{where}.epsilon", epsilon, "a finite number, at least 0", lambda e: e >= 0, cure)
        self.xi = checked(f"{where}.xi", xi, "a finite number above 0", lambda x: x > 0, cure)
        self.iterations = whole_of(f"{where}.iterations", iterations)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From logits (B, C), and what the student says of moved word vectors, to a scalar."""
        logits = wide(require(student, "logits", "student", self.file_name))
        if self.perturbed is None or not torch.is_grad_enabled():
            return logits.sum() * 0
        log_p = F.log_softmax(logits.detach(), dim=-1)
        own = torch.Generator(logits.device).manual_seed(int(torch.randint(2**31, ())))  # dropout draws as before
        direction, lengths = None, None
        for _ in range(self.iterations):
            step = _Step(batch.attention_mask, self.xi, direction, own)
            moved = self.perturbed(batch, step)
            (slope,) = torch.autograd.grad(_SCALE * _kl(log_p, moved), step.moved_by)
            direction, lengths = _unit(slope), step.lengths
        assert direction is not None
        assert lengths is not None
        by = self.epsilon * lengths * direction
        return _kl(log_p, self.perturbed(batch, lambda vectors: vectors + by.to(vectors.dtype)))


class _Step:
    """Moves word vectors (B, T, H) by a share of their length in a direction, a random one at first.

    Attributes:
        moved_by: (B, T, H), by how much they were moved, with a slope.
        lengths: (B, 1, 1), of each row's vectors taken together.
    """

    def __init__(self, mask: Tensor, share: float, direction: Tensor | None, draws: torch.Generator) -> None:
        self._mask, self._share, self._direction, self._draws = mask.unsqueeze(-1), share, direction, draws
        self.moved_by, self.lengths = torch.empty(0), torch.empty(0)

    def __call__(self, vectors: Tensor) -> Tensor:
        plain = vectors.detach().float() * self._mask
        if self._direction is None:
            drawn = torch.randn(plain.shape, generator=self._draws, device=plain.device)
            self._direction = _unit(drawn * self._mask)
        self.lengths = plain.flatten(1).norm(dim=1).view(-1, 1, 1)
        self.moved_by = (self._share * self.lengths * self._direction).requires_grad_()
        return vectors + self.moved_by.to(vectors.dtype)


def _unit(directions: Tensor) -> Tensor:
    """(B, T, H), each row of length 1; a row without any slope stays 0."""
    found: Tensor = directions / directions.flatten(1).norm(dim=1).view(-1, 1, 1).clamp(min=1e-30)
    return found


def _kl(log_p: Tensor, moved: Outputs) -> Tensor:
    found: Tensor = F.kl_div(F.log_softmax(wide(moved.logits), dim=-1), log_p, log_target=True, reduction="batchmean")
    return found
