"""The student's own doubt, of texts with a label and without: to be made small."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term, require, wide


class Entropy(Term):
    """mean over rows of -sum_c p_c log p_c, in nats; p = softmax(logits), from 0 to log C.

    Needs no teacher and no labels: rows of train without a label count beside the others. It draws boundaries between
    classes away from where texts lie (Grandvalet & Bengio 2004; for text Sachan et al., AAAI 2019, section 3). 0 at a
    student that is sure of every row, of whichever class: beside a term that says which is right, never alone.
    """

    stands_alone: ClassVar[bool] = False
    uses_unlabelled: ClassVar[bool] = True

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From logits (B, C) to a scalar."""
        log_p = F.log_softmax(wide(require(student, "logits", "student", self.file_name)), dim=-1)
        return -(log_p.exp() * log_p).sum(-1).mean()
