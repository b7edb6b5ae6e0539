"""A small recurrent student: word vectors, LSTM, additive attention over its states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from kd_lab.core.option_types import Layers, NonEmpty
from kd_lab.models.recurrent_attention import RecurrentAttention, RecurrentAttentionClassifier


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
class LstmAttention(RecurrentAttention):
    """How to build the LSTM student; the defaults are the setting of seeds/003, 3.9 M parameters with BERT's pieces.

    Args:
        name: what results call it.
        hidden, layers, dropout, bidirectional: see `RecurrentAttention`.
    """

    name: NonEmpty = "lstm_attention"
    layers: Layers = 2

    kind: ClassVar[type[LstmAttentionClassifier]] = LstmAttentionClassifier
    centred: ClassVar[bool] = False  # as the seed had them
    spread: ClassVar[float] = 1.0
