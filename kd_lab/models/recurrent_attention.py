"""Recurrent layers over word vectors, and attention over their states: what LSTM and GRU students have alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from kd_lab.core.option_types import Layers, NonEmpty, ShareBelowOne, Units
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.models.base import masked_softmax
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.fused.dropout import QuickDropout
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_vectors import StartsFromWordVectors


class RecurrentAttentionClassifier(EmbeddingClassifier):
    """Embedding -> recurrent layers -> attention pooling -> linear head.

    From left to right alone, padding stands at the end and no token's state depends on it. In both directions the
    second starts at each row's last token. So the same row gives the same logits in any batch. Attention is additive
    (Bahdanau, arXiv:1409.0473, A.1.2): score_t = v . tanh(W h_t), softmax over the row's tokens.
    """

    cell: ClassVar[str]  # what the module of recurrent layers is called in the weights' names
    layers: ClassVar[type[nn.LSTM] | type[nn.GRU]]

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        dropout, both = config["dropout"], bool(config.get("bidirectional", False))
        between = dropout if config["layers"] > 1 else 0.0
        sizes = config["embedding"], config["hidden"], config["layers"]
        self.add_module(self.cell, self.layers(*sizes, batch_first=True, dropout=between, bidirectional=both))
        width = config["hidden"] * (2 if both else 1)
        self.attention = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.dropout = QuickDropout(dropout)
        self.classifier = nn.Linear(width, config["classes"])

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) and, when asked for, the last layer's token states (B, T, H), 2H in both directions."""
        states = self._read(self.dropout(self.embedding(batch.input_ids)), batch.attention_mask)  # (B, T, H)
        scores = self.score(torch.tanh(self.attention(states))).squeeze(-1)  # (B, T)
        weights = masked_softmax(scores.float(), batch.attention_mask)
        pooled = torch.einsum("bt,bth->bh", weights, states.float())
        logits = self.classifier(self.dropout(pooled))
        return Outputs(logits.float(), states.float() if "hidden" in self.returns else None)

    def _read(self, states: Tensor, mask: Tensor) -> Tensor:
        """The last recurrent layer's states (B, T, H)."""
        layers = self.get_submodule(self.cell)
        found: Tensor
        if not self.config.get("bidirectional", False):
            found = layers(states)[0]
        elif getattr(layers, "takes_lengths", False):  # what stands in for them during export
            found = layers(states, mask.sum(1))[0]
        else:
            lengths = mask.sum(1).cpu()
            packed = pack_padded_sequence(states, lengths, batch_first=True, enforce_sorted=False)
            found = pad_packed_sequence(layers(packed)[0], batch_first=True, total_length=states.shape[1])[0]
        return found


@dataclass(frozen=True)
class RecurrentAttention(StartsFromWordVectors):
    """How to build such a student; its word vectors by the options of `StartsFromWordVectors`.

    Args:
        name: what results call it.
        hidden: width H of each recurrent layer and of the attention; in both directions of each direction.
        layers: number of recurrent layers.
        dropout: probability between layers, on the embeddings and before the head.
        bidirectional: whether the layers read from right to left too, which doubles them and the attention.
    """

    name: NonEmpty = "recurrent_attention"
    hidden: Units = 240
    layers: Layers = 1
    dropout: ShareBelowOne = 0.3
    bidirectional: bool = False

    kind: ClassVar[type[RecurrentAttentionClassifier]]

    @property
    def shape(self) -> ModelShape:
        """What a loss can ask it for: the last layer's states alone."""
        return ModelShape(frozenset({"logits", "hidden"}), self.hidden * (2 if self.bidirectional else 1))

    def build(self, context: BuildContext) -> RecurrentAttentionClassifier:
        """The student in training mode."""
        config = {"embedding": self.embedding, "hidden": self.hidden, "layers": self.layers, "dropout": self.dropout}
        both = {"bidirectional": True} if self.bidirectional else {}
        return self.started(self.kind({**self.sizes(context), **config, **both}), context)
