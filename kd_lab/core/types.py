"""The values that travel between layers.

Shape legend, used everywhere: `B` examples, `T` tokens, `C` classes, `H` width, `L` layers, `A` attention heads, `D`
units of one head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Outputs(NamedTuple):
    """What a classifier says about a batch; a cached teacher and a live student say it alike."""

    logits: Tensor  # (B, C) float, unnormalised
    hidden: Tensor | None = None  # (B, T, H) float, last layer's token states, or None when nobody asked
    attention: Tensor | None = None  # (B, A, T, T) float, last layer's scores q.k / sqrt(D), before mask and softmax
    answered: Tensor | None = None  # (B,) bool, rows of which a teacher says something; None where it does of all
    queries: Tensor | None = None  # (B, A, T, D) float, last layer's, as keys and values; None when nobody asked
    keys: Tensor | None = None
    values: Tensor | None = None
    all_hidden: Tensor | None = None  # (B, L + 1, T, H) float, the embeddings, then each layer's token states
    all_attention: Tensor | None = None  # (B, L, A, T, T) float, each layer's scores, see attention


class ModelShape(NamedTuple):
    """What a loss can ask a model for, known before the model is built."""

    gives: frozenset[str]  # fields of `Outputs`
    width: int  # H
    layers: int = 0  # L; 0 where the model has none that a loss can ask for
    heads: int = 0  # A of each layer


class Batch(NamedTuple):
    """Examples of one split, padded to the longest among them."""

    row_ids: Tensor  # (B,) int64, the row's place in its split; the key by which teacher outputs are joined
    input_ids: Tensor  # (B, T) int64, word pieces
    attention_mask: Tensor  # (B, T) int64, 1 for a token, 0 for padding
    labels: Tensor  # (B,) int64, gold class, or -1 for a row without a label; of several labels a row see `multi_label`
    token_type_ids: Tensor | None = None  # (B, T) int64, 0 first text, 1 second; None for single sentences
    teacher: Outputs | None = None  # what the teacher says about these rows, or None when nobody asked

    @property
    def multi_label(self) -> bool:
        """Whether a row may bear several labels: `labels` are (B, C) int64 then, 1 or 0, -1 where nobody has said."""
        return self.labels.ndim == 2

    @property
    def labelled(self) -> Tensor:
        """(B,) bool, the rows of which the gold labels are known."""
        return (self.labels[:, 0] if self.multi_label else self.labels) >= 0
