"""Tiny models that can read the toy data set, in BERT's word pieces, for steps that ask what a model makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from kd_lab.compression.context import CompressionContext
from kd_lab.core.cache import Cache
from kd_lab.core.types import Batch
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext, ModelSpec

PIECES, CLASSES = 30_522, 3
BERT = Encoder(
    "bert", "bert", layers=4, width=16, heads=4, feed_forward=12, init="random", max_positions=40, dropout=0.4
)
ENCODERS = {name: replace(BERT, name=name, architecture=name) for name in ("bert", "distilbert", "roberta")}
SPECS: dict[str, ModelSpec] = {**ENCODERS, "lstm": LstmAttention(embedding=8, hidden=10, init="random", dropout=0.4)}


def built(name: str, seed: int = 0) -> TorchClassifier:
    """A model of `SPECS` in training mode, in which no two weights are equal, as after a fit."""
    torch.manual_seed(seed)
    model = SPECS[name].build(BuildContext(CLASSES, PIECES, 0, "tokens", list, Cache(Path("unused"))))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3)
    return model


def some(context: CompressionContext, rows: int = 24) -> Batch:
    """Rows of the toy data set with padding, in no order."""
    return next(context.sample(rows, rows, seed=1))


def logits(model: TorchClassifier, batch: Batch) -> torch.Tensor:
    """(B, C) without dropout."""
    with torch.no_grad():
        return model.eval()(batch).logits


def sizes(model: TorchClassifier) -> int:
    """Number of weights."""
    return model.count_parameters()[0]
