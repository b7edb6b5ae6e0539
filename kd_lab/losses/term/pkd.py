"""Patient distillation: the first token's states of matched layers point the same way."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.layer_map import Which, check_which, teacher_layers
from kd_lab.losses.token_term import TokenTerm


class PKD(TokenTerm):
    """mean over rows and layers but the last of |h_s/|h_s| - h_t/|h_t||^2, from 0 to 4.

    h: the first token's state (H,). 0 when student equals teacher, or is a positive multiple of it. The last layer is
    left out, as the logits say what it does. Source: Sun et al., arXiv:1908.09355, equation 7, summed over layers
    there. The teacher must be as wide as the student and read the same tokens; a student has 2 layers at least.

    Args:
        layers: "every" holds the student's layers against the teacher's spread evenly (PKD-Skip), "last" against the
            last ones (PKD-Last).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"all_hidden"})
    returns: ClassVar[frozenset[str]] = frozenset({"logits", "all_hidden"})
    fewest_layers: ClassVar[int] = 2
    same_width: ClassVar[bool] = True

    def __init__(self, layers: Which = "every") -> None:
        super().__init__()
        self.layers = check_which("loss.terms.pkd.layers", layers)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two all_hidden (B, L + 1, T, H), L of each its own, to a scalar.

        Raises:
            UserError: the widths or the numbers of tokens differ.
        """
        ours, theirs = self.both(student, batch, "all_hidden")
        matched = teacher_layers(ours.shape[1] - 1, theirs.shape[1] - 1, self.layers)[:-1]
        h_s, h_t = ours[:, 1:-1, 0], theirs[:, list(matched), 0]
        cure = "Give the student the teacher's width and tokenizer, or leave this term out."
        self.need_alike(h_s, h_t, "hidden", cure)
        return (F.normalize(h_s, dim=-1) - F.normalize(h_t, dim=-1)).square().sum(-1).mean()
