"""TinyBERT's hidden states and embeddings: the teacher's, from the student's by a projection that is learned."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.layer_map import Which, check_which, teacher_layers
from kd_lab.losses.token_term import TokenTerm


class TinyBertHidden(TokenTerm):
    """mean over real tokens, units, embeddings and layers of (h_s W + b - h_t)^2; padding does not count.

    h: token states (H,) of the embeddings and of each layer, W and b the same for all. They belong to the term: fitted
    and kept in checkpoints with the student, at the rate of new weights, and no part of what is saved. Where both are
    equally wide W starts as the identity, so that the term is 0 when student equals teacher. The teacher must read the
    same tokens. Source: Jiao et al., arXiv:1909.10351, equations 8 and 9, summed over layers there.

    Args:
        layers: "every" holds the student's layers against the teacher's spread evenly, as in TinyBERT, "last" against
            the last ones.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"all_hidden"})
    returns: ClassVar[frozenset[str]] = frozenset({"logits", "all_hidden"})
    fewest_layers: ClassVar[int] = 1
    has_weights: ClassVar[bool] = True

    def __init__(self, layers: Which = "every") -> None:
        super().__init__()
        self.layers = check_which("loss.terms.tinybert_hidden.layers", layers)
        self.projection: nn.Linear | None = None

    def build(self, student: Outputs, batch: Batch) -> None:
        """See `Term`: a projection from the student's width to the teacher's."""
        ours, theirs = self.both(student, batch, "all_hidden")
        self.projection = nn.Linear(ours.shape[-1], theirs.shape[-1])
        if ours.shape[-1] == theirs.shape[-1]:
            with torch.no_grad():
                nn.init.eye_(self.projection.weight)
                self.projection.bias.zero_()

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two all_hidden (B, L + 1, T, H), L and H of each its own, and the mask (B, T) to a scalar.

        Raises:
            UserError: `build` was not called for outputs of these shapes.
        """
        ours, theirs = self.both(student, batch, "all_hidden")
        widths = ours.shape[-1], theirs.shape[-1]
        if self.projection is None or (self.projection.in_features, self.projection.out_features) != widths:
            expected = f"a projection from the student's width {widths[0]} to the teacher's {widths[1]}"
            got = "none" if self.projection is None else f"one of {list(self.projection.weight.T.shape)}"
            cure = "Call loss.build(student_outputs, batch) before the first step."
            raise UserError(f"loss term {self.file_name!r}", expected=expected, got=got, cure=cure)
        weight, bias = (part.to(ours.dtype) for part in (self.projection.weight, self.projection.bias))
        matched = [0, *teacher_layers(ours.shape[1] - 1, theirs.shape[1] - 1, self.layers)]
        real = batch.attention_mask.bool()
        h_s, h_t = (hidden.transpose(1, 2)[real] for hidden in (ours, theirs[:, matched]))  # (N, L + 1, H)
        with torch.autocast(h_s.device.type, enabled=False):
            distance = (F.linear(h_s, weight, bias) - h_t).square()
        return distance.sum() / (distance.shape[1] * distance.shape[2] * real.sum().clamp(min=1))
