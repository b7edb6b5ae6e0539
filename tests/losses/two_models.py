"""Logits of a student and of its teacher, and a batch that the teacher has answered."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kd_lab.core.types import Batch, Outputs


def pair(seed: int = 0, rows: int = 6, classes: int = 5) -> tuple[Tensor, Tensor]:
    """(B, C) of the student and of the teacher, float64."""
    numbers = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, rows, classes, generator=numbers, dtype=torch.float64) * 2
    return student, teacher


def taught(teacher: Tensor | Outputs | None, labels: Sequence[int] | Tensor | None = None) -> Batch:
    """Rows of two tokens of which the teacher says this, if there is one; without labels where none are given."""
    outputs = Outputs(teacher) if isinstance(teacher, Tensor) else teacher
    named = torch.full((len(outputs.logits),), -1) if labels is None else torch.as_tensor(labels)
    tokens = torch.ones(len(named), 2, dtype=torch.int64)
    return Batch(torch.arange(len(named)), tokens, tokens, named, teacher=outputs)
