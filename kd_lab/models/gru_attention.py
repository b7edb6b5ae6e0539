"""A small recurrent student: word vectors, GRU, additive attention over its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from kd_lab.core.option_types import NonEmpty
from kd_lab.models.recurrent_attention import RecurrentAttention, RecurrentAttentionClassifier


class GruAttentionClassifier(RecurrentAttentionClassifier):
    """Embedding -> GRU layers (Cho et al., arXiv:1406.1078) -> attention pooling -> linear head.

    Three gates for an LSTM's four. No quantizer of kd_lab's makes a GRU's weights 8-bit: they stay float32.
    """

    cell = "gru"
    layers = nn.GRU
    head: tuple[str, ...] = ("embedding", "gru", "attention", "score", "classifier")
    gru: nn.GRU


@dataclass(frozen=True)
class GruAttention(RecurrentAttention):
    """How to build the GRU student.

    Args:
        name: what results call it.
        hidden, layers, dropout, bidirectional: see `RecurrentAttention`.
    """

    name: NonEmpty = "gru_attention"

    kind: ClassVar[type[GruAttentionClassifier]] = GruAttentionClassifier
