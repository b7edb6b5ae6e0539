"""Replaces a classifier's word embedding by the product of two smaller matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.step import need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Epochs, RateShare, Units
from kd_lab.data.piece_counts import occurrences
from kd_lab.models.architectures import RANK, with_ours
from kd_lab.models.base import TorchClassifier
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.embedding_classifier import EmbeddingClassifier
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.models.surgery import reshape
from kd_lab.models.word_embedding import embedding_module, word_embedding

_WHERE = "compression.low_rank_embedding"


@dataclass(frozen=True)
class LowRankEmbedding:
    """Truncated singular value decomposition of the word embedding, then training of both factors.

    (V, H) becomes (V, rank) and (rank, H), in the form of ALBERT (arXiv:1909.11942, section 3.1). Of all matrices of
    that rank, the product is the nearest: sum over pieces of weight * |e - e'|^2 is least (Eckart and Young,
    Psychometrika 1, 1936). That frequent pieces should weigh more is GroupReduce's idea (Chen et al.,
    arXiv:1806.06950).

    Args:
        rank: numbers kept for each word piece, below H.
        weigh: "root" weighs a piece by the root of its count in train; "alike" weighs all pieces alike, those that
            never occur too, of which most vocabularies are full.
        epochs: passes over train afterwards, to recover; 0 trains nothing.
        rate: peak learning rates of these passes as a share of the fit's.
    """

    rank: Units = 64
    weigh: Literal["root", "alike"] = "root"
    epochs: Epochs = 2
    rate: RateShare = 1.0

    def __post_init__(self) -> None:
        check_fields(self, _WHERE)

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind` or `model`."""
        need_torch("low_rank_embedding", kind, "Put low_rank_embedding before torch_int8, onnx and onnx_int8.")
        if isinstance(model, Encoder | CheckpointEncoder):
            self._below(model.shape.width)
        elif issubclass(kind, EmbeddingClassifier) and (width := getattr(model, "embedding", None)) is not None:
            self._below(width)
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext) -> TorchClassifier:
        """The classifier with a factorised embedding, trained on; an encoder is no longer `portable`."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        embedding = word_embedding(classifier)
        self._below(embedding.embedding_dim)  # where it is factorised already, the rank it has
        pieces = context.tokens.split("train").token_ids
        counts = torch.from_numpy(occurrences(pieces, embedding.num_embeddings)).double()  # some are padded
        weights = counts.sqrt() if self.weigh == "root" else torch.ones_like(counts)
        factorised, plain, weighted = factorise(classifier, self.rank, weights)
        context.note(
            "low_rank_embedding",
            {
                "rank": self.rank,
                "relative_error": round(plain, 4),
                "relative_error_weighted": round(weighted, 4),
            },
        )
        context.recover(factorised, self.epochs, self.rate)
        return factorised

    def still(self, model: TorchClassifier) -> dict[str, int]:
        """The rank at the end of all steps."""
        return {"rank": word_embedding(model).embedding_dim}

    def _below(self, width: int) -> None:
        if self.rank >= width:
            raise UserError(
                f"{_WHERE}.rank",
                expected=f"a rank below {width}, the embedding's width",
                got=str(self.rank),
                cure=f"Use e.g. {_WHERE}.rank={max(1, width // 4)}.",
            )


def factorise(model: TorchClassifier, rank: int, importance: Tensor) -> tuple[TorchClassifier, float, float]:
    """(the classifier with an embedding of this rank, its error, its weighted error); `model` stays as it was.

    The errors are relative, from 0 to 1: sqrt(sum of weight * |e - e'|^2 / sum of weight * |e|^2) over all pieces,
    first with weight 1, which is the Frobenius norm's, then with `importance`.

    Args:
        importance: (V,) float64, the weight of each piece, at least 0.
    """
    old = embedding_module(model)
    with torch.no_grad():
        ids = torch.arange(word_embedding(model).num_embeddings)
        table = old(ids).double()  # (V, H)
    pieces, widen = truncated(table, rank, importance)
    missed, whole = (table - pieces @ widen.T).square().sum(dim=1), table.square().sum(dim=1)
    plain, weighted = (_relative(missed @ each, whole @ each) for each in (torch.ones_like(importance), importance))
    place = next(name for name, module in model.named_modules() if module is old)
    weights = {name: weight for name, weight in model.state_dict().items() if not name.startswith(f"{place}.")}
    weights |= {f"{place}.pieces.weight": pieces.float(), f"{place}.widen.weight": widen.float()}
    if isinstance(model, EncoderClassifier):
        config = with_ours(model.config, RANK, rank)
    else:
        config = {**model.config, RANK: rank}
    return reshape(model, config, weights), plain, weighted


def truncated(table: Tensor, rank: int, importance: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest product of that rank, (V, rank) and (H, rank) with table ~ first @ second.T, as float64.

    By the eigenvectors of table.T @ diag(importance) @ table, which are the right singular vectors of the weighted
    table: exact enough in float64, far cheaper than the whole decomposition, and a row of zeros, such as the
    padding's, stays one. The second factor's columns are orthonormal.
    """
    _, vectors = torch.linalg.eigh(table.T @ (importance[:, None] * table))  # ascending eigenvalues
    kept = vectors[:, -rank:].flip(1)
    return table @ kept, kept


def _relative(missed: Tensor, whole: Tensor) -> float:
    """The root of a share of squares; 0 where there is nothing to miss."""
    return float((missed / whole).sqrt()) if whole else 0.0
