"""How the tokens of a text relate to each other, as distributions, and how far two models' are apart."""

from __future__ import annotations

import torch
from torch import Tensor


def scores(vectors: Tensor, mask: Tensor) -> Tensor:
    """v v' / sqrt(D) of each two tokens, as attention has q k' / sqrt(D).

    Args:
        vectors: (B, A, T, D) float; what stands in padding is not looked at.
        mask: (B, T), 0 for padding.

    Returns:
        (B, A, T, T), in the precision of `vectors`, under autocast too.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        real = vectors.masked_fill((mask == 0)[:, None, :, None], 0.0)
        found: Tensor = real @ real.transpose(-1, -2) / vectors.shape[-1] ** 0.5
    return found


def divergence(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """mean over real tokens and heads of KL(softmax teacher || softmax student) over real tokens, in nats.

    Args:
        student, teacher: scores (B, A, T, T); the last axis is that of the distributions.
        mask: (B, T), 0 for padding, which neither asks nor is asked.
    """
    real = mask.bool()
    asked = real[:, None, :].expand(-1, mask.shape[1], -1)[real][:, None]  # (N, 1, T)
    log_s, log_t = (_of(real, one).masked_fill(~asked, _least(one)).log_softmax(-1) for one in (student, teacher))
    each = (log_t.exp() * (log_t - log_s)).masked_fill(~asked, 0.0).sum(-1)  # (N, A)
    return each.sum() / (each.shape[1] * real.sum().clamp(min=1))


def _of(real: Tensor, scores: Tensor) -> Tensor:
    """(N, A, T): of the real tokens."""
    return scores.transpose(1, 2)[real]


def _least(scores: Tensor) -> float:
    return float(torch.finfo(scores.dtype).min)
