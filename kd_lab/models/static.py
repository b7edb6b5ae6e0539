"""The fastest student: the mean of a text's word vectors, and a linear head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, NGrams, NonEmpty, ShareBelowOne, Units
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.fused.dropout import QuickDropout
from kd_lab.models.ngrams import ngram_numbers
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_vectors import StartsFromWordVectors


class StaticClassifier(EmbeddingClassifier):
    """Embedding -> mean over the tokens -> (a hidden layer ->) linear head.

    Mean and head are those of fastText (Joulin et al., arXiv:1607.01759, section 2); the hidden layer, a ReLU, is that
    of deep averaging networks (Iyyer et al., ACL 2015). As in fastText the vectors of n-grams stand among those of
    the pieces in one mean, and n-grams of one number share a vector.
    """

    head: tuple[str, ...] = ("embedding", "ngrams", "inner", "classifier")

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        width, hidden = config["embedding"], config.get("hidden")
        self.longest = int(config.get("ngrams", 1))
        self.ngrams = nn.Embedding(config["buckets"], width) if self.longest > 1 else None
        self.dropout = QuickDropout(config["dropout"])
        self.inner = nn.Linear(width, hidden) if hidden else None
        self.classifier = nn.Linear(hidden or width, config["classes"])

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) and, when asked for, the word vectors (B, T, H)."""
        vectors = self.embedding(batch.input_ids)
        mask = batch.attention_mask
        total, count = _sum(vectors, mask), mask.sum(1)
        if self.ngrams is not None:
            for numbers, there in ngram_numbers(batch.input_ids, mask, self.longest, self.ngrams.num_embeddings):
                total, count = total + _sum(self.ngrams(numbers), there), count + there.sum(1)
        mean = self.dropout(total / count[:, None].to(total.dtype))
        inner = mean if self.inner is None else self.dropout(torch.relu(self.inner(mean)))
        logits = self.classifier(inner)
        return Outputs(logits.float(), vectors.float() if "hidden" in self.returns else None)


def _sum(vectors: Tensor, mask: Tensor) -> Tensor:
    """(B, H), the sum over the tokens of each row."""
    return (vectors * mask[..., None].to(vectors.dtype)).sum(1)


@dataclass(frozen=True)
class Static(StartsFromWordVectors):
    """How to build the static student, its word vectors by the options of `StartsFromWordVectors`.

    Those of n-grams start from 0. With init=teacher_outputs the others start as model2vec's do.

    Args:
        name: what results call it.
        hidden: width of a layer between mean and head; None for none.
        ngrams: 2 adds a vector for each pair of neighbouring pieces, 3 for triples too; 1 has the pieces alone.
        buckets: how many vectors the n-grams share.
        dropout: probability on the mean and before the head.
    """

    name: NonEmpty = "static"
    embedding: Units = 128
    hidden: Units | None = None
    ngrams: NGrams = 1
    buckets: Count = 100_000
    dropout: ShareBelowOne = 0.3

    kind: ClassVar[type[StaticClassifier]] = StaticClassifier

    @property
    def shape(self) -> ModelShape:
        """What a loss can ask it for: the vectors of its pieces."""
        return ModelShape(frozenset({"logits", "hidden"}), self.embedding)

    def refuse_new_pieces(self, step: str) -> None:
        """Refuses a step that gives the pieces other numbers: those of the n-grams are made of them.

        Raises:
            UserError: there are n-grams.
        """
        if self.ngrams > 1:
            raise UserError(
                f"compression.{step}",
                expected="a student without n-grams, whose vectors are found by the numbers of the pieces",
                got=f"model.ngrams={self.ngrams}",
                cure=f"Use model.ngrams=1, or leave {step} out.",
            )

    def build(self, context: BuildContext) -> StaticClassifier:
        """The student in training mode."""
        config: dict[str, Any] = {"embedding": self.embedding, "dropout": self.dropout}
        config |= {"hidden": self.hidden} if self.hidden else {}
        config |= {"ngrams": self.ngrams, "buckets": self.buckets} if self.ngrams > 1 else {}
        model = StaticClassifier({**self.sizes(context), **config})
        if model.ngrams is not None:
            nn.init.zeros_(model.ngrams.weight)
        return self.started(model, context)
