"""A small recurrent student: word vectors, GRU, additive attention over its states."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from kd_lab.core.option_types import Epochs, Layers, NonEmpty, PathName, Seed, ShareBelowOne, Units
from kd_lab.models.base import TorchClassifier
from kd_lab.models.recurrent_attention import RecurrentAttentionClassifier
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_vectors import Init, StartsFromWordVectors


class GruAttentionClassifier(RecurrentAttentionClassifier):
    """Embedding -> GRU layers (Cho et al., arXiv:1406.1078) -> attention pooling -> linear head.

    Three gates for an LSTM's four. No quantizer of kd_lab's makes a GRU's weights 8-bit: they stay float32.
    """

    cell = "gru"
    layers = nn.GRU
    head: tuple[str, ...] = ("embedding", "gru", "attention", "score", "classifier")
    gru: nn.GRU


@dataclass(frozen=True)
class GruAttention(StartsFromWordVectors):
    """How to build the GRU student.

    Args:
        name: what results call it.
        embedding: width of the word vectors.
        hidden: width H of each GRU layer and of the attention; in both directions of each direction.
        layers: number of GRU layers.
        dropout: probability between layers, on the embeddings and before the head.
        init: where the word vectors come from, see `word_vectors`.
        word2vec_epochs: passes of Word2Vec's training.
        word2vec_seed: its seed, apart from the fit's so that all seeds of a sweep share the vectors.
        vectors: the file of init=file.
        bidirectional: whether the layers read from right to left too, which doubles them and the attention.
    """

    name: NonEmpty = "gru_attention"
    embedding: Units = 100
    hidden: Units = 240
    layers: Layers = 1
    dropout: ShareBelowOne = 0.3
    init: Init = "word2vec"
    word2vec_epochs: Epochs = 5
    word2vec_seed: Seed = 0
    vectors: PathName | None = None
    bidirectional: bool = False

    @property
    def kind(self) -> type[TorchClassifier]:
        """The class that `build` makes."""
        return GruAttentionClassifier

    def build(self, context: BuildContext) -> GruAttentionClassifier:
        """The student in training mode."""
        config = {"embedding": self.embedding, "hidden": self.hidden, "layers": self.layers, "dropout": self.dropout}
        both = {"bidirectional": True} if self.bidirectional else {}
        return self.started(GruAttentionClassifier({**self.sizes(context), **config, **both}), context)
