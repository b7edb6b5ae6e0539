"""A small recurrent student: word vectors, LSTM, additive attention over its states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Epochs, Layers, NonEmpty, Seed, ShareBelowOne, Units
from kd_lab.core.types import Batch, Outputs
from kd_lab.models.base import TorchClassifier, masked_softmax
from kd_lab.models.factorised_embedding import FactorisedEmbedding
from kd_lab.models.fused.dropout import QuickDropout
from kd_lab.models.spec import BuildContext


class LstmAttentionClassifier(TorchClassifier):
    """Embedding -> LSTM layers -> attention pooling -> linear head.

    The LSTM reads left to right and padding stands at the end, so that no token's state depends on padding and
    the same row gives the same logits in any batch. Attention is additive (Bahdanau, arXiv:1409.0473, A.1.2):
    score_t = v . tanh(W h_t), softmax over the row's tokens.
    """

    head: tuple[str, ...] = ("embedding", "lstm", "attention", "score", "classifier")

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        width, dropout = config["hidden"], config["dropout"]
        vocabulary, rank, pad_id = config["vocabulary"], config.get("embedding_rank"), config["pad_id"]
        self.embedding: nn.Embedding | FactorisedEmbedding
        if rank is None:
            self.embedding = nn.Embedding(vocabulary, config["embedding"], padding_idx=pad_id)
        else:
            self.embedding = FactorisedEmbedding(vocabulary, rank, config["embedding"], pad_id)
        between = dropout if config["layers"] > 1 else 0.0
        self.lstm = nn.LSTM(config["embedding"], width, config["layers"], batch_first=True, dropout=between)
        self.attention = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.dropout = QuickDropout(dropout)
        self.classifier = nn.Linear(width, config["classes"])

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) and, when asked for, the last layer's token states (B, T, H)."""
        states = self._read(self.dropout(self.embedding(batch.input_ids)))  # (B, T, H)
        scores = self.score(torch.tanh(self.attention(states))).squeeze(-1)  # (B, T)
        weights = masked_softmax(scores.float(), batch.attention_mask)
        pooled = torch.einsum("bt,bth->bh", weights, states.float())
        logits = self.classifier(self.dropout(pooled))
        return Outputs(logits.float(), states.float() if "hidden" in self.returns else None)

    def _read(self, states: Tensor) -> Tensor:
        """The LSTM's last layer's states (B, T, H); in training on the CPU with our dropout between layers."""
        if not (self.training and self.lstm.dropout and states.device.type == "cpu"):
            found: Tensor = self.lstm(states)[0]
            return found
        nothing = states.new_zeros(1, len(states), self.lstm.hidden_size)
        for layer in range(self.lstm.num_layers):
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights = [getattr(self.lstm, f"{name}_l{layer}") for name in names]
            states = self.dropout(states) if layer else states
            states = torch.lstm(states, (nothing, nothing), weights, True, 1, 0.0, True, False, True)[0]
        return states


@dataclass(frozen=True)
class LstmAttention:
    """How to build the LSTM student; the defaults are the setting of seeds/003, 3.9 M parameters with BERT's pieces.

    Args:
        name: what results call it.
        embedding: width of the word vectors.
        hidden: width H of each LSTM layer and of the attention.
        layers: number of LSTM layers.
        dropout: probability between layers, on the embeddings and before the head.
        init: "word2vec" trains the word vectors on the training split's word pieces first; "random" does not.
        word2vec_epochs: passes of that training.
        word2vec_seed: its seed, apart from the fit's so that all seeds of a sweep share the vectors.
    """

    name: NonEmpty = "lstm_attention"
    embedding: Units = 100
    hidden: Units = 240
    layers: Layers = 2
    dropout: ShareBelowOne = 0.3
    init: Literal["word2vec", "random"] = "word2vec"
    word2vec_epochs: Epochs = 5
    word2vec_seed: Seed = 0

    def __post_init__(self) -> None:
        if self.init not in ("word2vec", "random"):
            raise UserError(
                "model.init", expected="word2vec or random", got=repr(self.init), cure="Choose one of them."
            )

    @property
    def kind(self) -> type[TorchClassifier]:
        """The class that `build` makes."""
        return LstmAttentionClassifier

    @property
    def starts_from_teacher(self) -> bool:
        """Never: it has no layer that an encoder has."""
        return False

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options but the name."""
        return {key: value for key, value in vars(self).items() if key != "name"}

    def build(self, context: BuildContext) -> LstmAttentionClassifier:
        """The student in training mode."""
        model = LstmAttentionClassifier(
            {
                "vocabulary": context.vocab_size,
                "pad_id": context.pad_id,
                "classes": context.classes,
                "embedding": self.embedding,
                "hidden": self.hidden,
                "layers": self.layers,
                "dropout": self.dropout,
            }
        )
        if self.init == "word2vec":
            with torch.no_grad():
                assert isinstance(model.embedding, nn.Embedding)
                model.embedding.weight.copy_(self._word_vectors(context, model.embedding.weight))
        return model.train()

    def _word_vectors(self, context: BuildContext, start: Tensor) -> Tensor:
        """(vocabulary, embedding): trained vectors scaled to unit variance; `start` where a piece never occurs."""
        parts = {
            "tokens": context.tokens,
            "embedding": self.embedding,
            "epochs": self.word2vec_epochs,
            "seed": self.word2vec_seed,
            "code": code_hash("kd_lab.models.lstm_attention"),
        }
        folder = context.cache.build("word2vec", parts, partial(self._train_word2vec, context))
        found = load_file(folder / "vectors.safetensors")
        vectors = start.detach().clone()
        vectors[found["ids"]] = found["vectors"] / found["vectors"].std()
        vectors[context.pad_id] = 0.0
        return vectors

    def _train_word2vec(self, context: BuildContext, draft: Path) -> None:
        from gensim.models import Word2Vec

        trained = Word2Vec(
            _EachTime(context.sentences),
            vector_size=self.embedding,
            epochs=self.word2vec_epochs,
            seed=self.word2vec_seed,
            min_count=1,
            sg=1,
            workers=1,  # more than one thread makes the vectors differ from run to run
        ).wv
        ids = torch.tensor([int(piece) for piece in trained.index_to_key])
        save_file({"ids": ids, "vectors": torch.from_numpy(np.asarray(trained.vectors))}, draft / "vectors.safetensors")


@dataclass(frozen=True)
class _EachTime:
    """Sentences that are read anew in each pass: there may be more than memory should hold."""

    sentences: Callable[[], Iterable[list[str]]]

    def __iter__(self) -> Iterator[list[str]]:
        return iter(self.sentences())
