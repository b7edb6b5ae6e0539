"""TinyBERT's attention: the scores of matched layers, before softmax."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.layer_map import Which, check_which, teacher_layers
from kd_lab.losses.token_term import TokenTerm


class TinyBertAttention(TokenTerm):
    """mean over pairs of real tokens, heads and layers of (s_s - s_t)^2; s = q k' / sqrt(D), padding does not count.

    0 when student equals teacher. Scores before softmax, which converge faster (Jiao et al., arXiv:1909.10351, equation
    7; summed over layers there). The teacher must have as many heads as the student and read the same tokens.

    Args:
        layers: as in `tinybert_hidden`.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"all_attention"})
    returns: ClassVar[frozenset[str]] = frozenset({"logits", "all_attention"})
    fewest_layers: ClassVar[int] = 1
    same_heads: ClassVar[bool] = True

    def __init__(self, layers: Which = "every") -> None:
        super().__init__()
        self.layers = check_which("loss.terms.tinybert_attention.layers", layers)

    def forward(self, student: Outputs, batch: Batch) -> Tensor:
        """From two all_attention (B, L, A, T, T), L of each its own, and the mask (B, T) to a scalar.

        Raises:
            UserError: the numbers of heads or tokens differ.
        """
        ours, theirs = self.both(student, batch, "all_attention")
        matched = [layer - 1 for layer in teacher_layers(ours.shape[1], theirs.shape[1], self.layers)]
        s_s, s_t = ours, theirs[:, matched]
        cure = "Give the student the teacher's heads and tokenizer, or leave this term out."
        self.need_alike(s_s, s_t, "attention", cure)
        real = batch.attention_mask.bool()
        pairs = real[:, :, None] & real[:, None, :]
        distance = (s_s.permute(0, 3, 4, 1, 2)[pairs] - s_t.permute(0, 3, 4, 1, 2)[pairs]).square()  # (N, L, A)
        return distance.sum() / (distance.shape[1] * distance.shape[2] * pairs.sum().clamp(min=1))
