"""The row that every table should beat: logistic regression over tf-idf of word pieces, by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn

from kd_lab.core.option_types import Count, NGrams, NonEmpty, Penalty
from kd_lab.core.types import Batch, Outputs
from kd_lab.models.base import TorchClassifier
from kd_lab.models.ngrams import ngram_numbers
from kd_lab.models.spec import BuildContext

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_NEVER = 20.0  # logits by which a class without a row lies below the others
_INT8 = ("onnx_int8", "onnx_int8_per_channel", "onnx_int8_per_tensor")
_TAKES = ("onnx", *_INT8, "openvino", "openvino_bf16", "sparse", "torch_bf16")


class TfidfClassifier(TorchClassifier):
    """Term counts (1 + ln tf) * idf, scaled to length 1 -> a linear layer; the terms are pieces and their n-grams.

    The same numbers as scikit-learn's `TfidfTransformer(sublinear_tf=True)` gives, but looked up token by token: of a
    term that occurs n times each of its tokens carries 1 / n. N-grams are told apart by a hash, as `HashingVectorizer`
    does; those of one number are one term.
    """

    takes: ClassVar[tuple[str, ...]] = _TAKES

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.pieces, self.longest = int(config["vocabulary"]), int(config["ngrams"])
        self.buckets = int(config["buckets"]) if self.longest > 1 else 0
        rows = self.pieces + self.buckets
        self.terms = nn.Embedding(rows, config["classes"])
        self.bias = nn.Parameter(torch.zeros(config["classes"]))
        self.idf = nn.Embedding(rows, 1)
        for weight in self.parameters():
            weight.requires_grad_(False)  # scikit-learn has fitted them

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C)."""
        numbers, there = [batch.input_ids], [batch.attention_mask]
        for ngrams, full in ngram_numbers(batch.input_ids, batch.attention_mask, self.longest, self.buckets):
            numbers.append(ngrams + self.pieces)
            there.append(full)
        terms, real = torch.cat(numbers, 1), torch.cat(there, 1)  # (B, N)
        alike = (terms[:, :, None] == terms[:, None, :]) & (real[:, None, :] > 0)
        idf = self.idf(terms).squeeze(-1)
        counts = alike.sum(2).clamp(min=1).to(idf.dtype)
        weights = (1 + counts.log()) * idf * real.to(idf.dtype)
        length = (weights.square() / counts).sum(1, keepdim=True).sqrt().clamp(min=1e-12)
        logits = (self.terms(terms) * (weights / counts / length)[..., None]).sum(1) + self.bias
        return Outputs(logits.float())

    def keep_classes(self, order: Sequence[int]) -> None:
        """As any classifier does; its head is the terms' weights."""
        self.terms.weight = nn.Parameter(self.terms.weight[:, list(order)], requires_grad=False)
        self.bias = nn.Parameter(self.bias[list(order)], requires_grad=False)
        self.terms.embedding_dim = self.config["classes"] = len(order)


@dataclass(frozen=True)
class Tfidf:
    """How to build it: `build` fits it on train's labelled rows, and no epoch follows.

    Args:
        name: what results call it.
        ngrams: the longest n-gram of pieces that is a term.
        buckets: how many numbers the n-grams share.
        C: inverse strength of the squared penalty on the weights, as scikit-learn calls it.
    """

    name: NonEmpty = "tfidf"
    ngrams: NGrams = 2
    buckets: Count = 262_144
    C: Penalty = 1.0

    kind: ClassVar[type[TfidfClassifier]] = TfidfClassifier
    starts_from_teacher: ClassVar[bool] = False  # it learns from labels alone
    fits_itself: ClassVar[bool] = True

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options but the name."""
        return {key: value for key, value in vars(self).items() if key != "name"}

    def build(self, context: BuildContext) -> TfidfClassifier:
        """The classifier, fitted."""
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.linear_model import LogisticRegression

        config = {"vocabulary": context.vocab_size, "classes": context.classes, "ngrams": self.ngrams}
        model = TfidfClassifier({**config, "buckets": self.buckets})
        counts, labels = self._counts(model, context), context.labels()
        tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
        labelled = labels >= 0
        rows = tfidf.transform(counts[labelled])
        fitted = LogisticRegression(C=self.C, max_iter=1000).fit(rows, labels[labelled])
        weights, bias = fitted.coef_, fitted.intercept_
        if len(weights) == 1:  # of two classes scikit-learn has the difference alone
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        model.terms.weight.zero_()
        model.terms.weight[:, fitted.classes_] = torch.from_numpy(weights.T).float()
        model.bias.fill_(float(bias.min()) - _NEVER)
        model.bias[fitted.classes_] = torch.from_numpy(bias).float()
        model.idf.weight.copy_(torch.from_numpy(tfidf.idf_)[:, None])
        return model.eval()

    def _counts(self, model: TfidfClassifier, context: BuildContext) -> csr_matrix:
        """(rows of train, terms): how often each term occurs."""
        from scipy.sparse import csr_matrix

        found = [self._terms(model, row) for row in context.sentences()]
        ends = np.cumsum([0, *map(len, found)])
        ones = np.ones(ends[-1])
        counts = csr_matrix((ones, np.concatenate(found), ends), shape=(len(found), model.terms.num_embeddings))
        counts.sum_duplicates()
        return counts

    def _terms(self, model: TfidfClassifier, row: list[str]) -> np.ndarray[Any, Any]:
        ids = torch.tensor([[int(piece) for piece in row]])
        longer = ngram_numbers(ids, torch.ones_like(ids), self.ngrams, model.buckets)
        return torch.cat([ids[0], *(numbers[there > 0] + model.pieces for numbers, there in longer)]).numpy()
