"""A small recurrent student: word vectors, LSTM, additive attention over its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from kd_lab.core.option_types import Epochs, Layers, NonEmpty, PathName, Seed, ShareBelowOne, Units
from kd_lab.core.types import ModelShape
from kd_lab.models.base import TorchClassifier
from kd_lab.models.recurrent_attention import RecurrentAttentionClassifier
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_vectors import Init, StartsFromWordVectors


class LstmAttentionClassifier(RecurrentAttentionClassifier):
    """Embedding -> LSTM layers -> attention pooling -> linear head."""

    cell = "lstm"
    layers = nn.LSTM
    head: tuple[str, ...] = ("embedding", "lstm", "attention", "score", "classifier")
    lstm: nn.LSTM

    def _read(self, states: Tensor, mask: Tensor) -> Tensor:
        """As above; in training on the CPU, from left to right alone, with our dropout between layers."""
        both = self.config.get("bidirectional", False)
        if both or not (self.training and self.lstm.dropout and states.device.type == "cpu"):
            return super()._read(states, mask)
        nothing = states.new_zeros(1, len(states), self.lstm.hidden_size)
        for layer in range(self.lstm.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(self.lstm, f"{name}_l{layer}") for name in names]
            states = self.dropout(states) if layer else states
            states = torch.lstm(states, (nothing, nothing), weights, True, 1, 0.0, True, False, True)[0]
        return states


@dataclass(frozen=True)
class LstmAttention(StartsFromWordVectors):
    """How to build the LSTM student; the defaults are the setting of seeds/003, 3.9 M parameters with BERT's pieces.

    Args:
        name: what results call it.
        embedding: width of the word vectors.
        hidden: width H of each LSTM layer and of the attention; in both directions of each direction.
        layers: number of LSTM layers.
        dropout: probability between layers, on the embeddings and before the head.
        init: where the word vectors come from, see `word_vectors`.
        word2vec_epochs: passes of Word2Vec's training.
        word2vec_seed: its seed, apart from the fit's so that all seeds of a sweep share the vectors.
        vectors: the file of init=file.
        bidirectional: whether the layers read from right to left too, which doubles them and the attention.
    """

    name: NonEmpty = "lstm_attention"
    embedding: Units = 100
    hidden: Units = 240
    layers: Layers = 2
    dropout: ShareBelowOne = 0.3
    init: Init = "word2vec"
    word2vec_epochs: Epochs = 5
    word2vec_seed: Seed = 0
    vectors: PathName | None = None
    bidirectional: bool = False

    centred: ClassVar[bool] = False  # as the seed had them
    spread: ClassVar[float] = 1.0

    @property
    def kind(self) -> type[TorchClassifier]:
        """The class that `build` makes."""
        return LstmAttentionClassifier

    @property
    def shape(self) -> ModelShape:
        """What a loss can ask it for: the last layer's states alone."""
        return ModelShape(frozenset({"logits", "hidden"}), self.hidden * (2 if self.bidirectional else 1))

    def build(self, context: BuildContext) -> LstmAttentionClassifier:
        """The student in training mode."""
        config = {"embedding": self.embedding, "hidden": self.hidden, "layers": self.layers, "dropout": self.dropout}
        both = {"bidirectional": True} if self.bidirectional else {}
        return self.started(LstmAttentionClassifier({**self.sizes(context), **config, **both}), context)
