"""Tiny models that can read the toy data set, in BERT's word pieces, for steps that ask what a model makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from kd_lab.compression.context import CompressionContext
from kd_lab.core.cache import Cache
from kd_lab.core.types import Batch
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models import saved_model
from kd_lab.models.architectures import layer_stem, layout_of
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import BuildContext, ModelSpec
from kd_lab.training.fit import FitSpec, recover
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.weight_constraint import WeightConstraint

PIECES, CLASSES = 30_522, 3
BERT = Encoder(
    "bert", "bert", layers=4, width=16, heads=4, feed_forward=12, init="random", max_positions=40, dropout=0.4
)
ENCODERS = {name: replace(BERT, name=name, architecture=name) for name in ("bert", "distilbert", "roberta")}
SPECS: dict[str, ModelSpec] = {**ENCODERS, "lstm": LstmAttention(embedding=8, hidden=10, init="random", dropout=0.4)}


def fresh(spec: ModelSpec, seed: int = 3) -> TorchClassifier:
    """A model in training mode, as before a fit."""
    torch.manual_seed(seed)
    return spec.build(BuildContext(CLASSES, PIECES, 0, "tokens", list, Cache(Path("unused"))))


def built(name: str, seed: int = 0) -> TorchClassifier:
    """A model of `SPECS` in training mode, in which no two weights are equal, as after a fit."""
    model = fresh(SPECS[name], seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3)
    return model


def training_of(spec: ModelSpec) -> Callable[..., None]:
    """A context's `training` that really trains, on the labels alone."""
    loss = WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0})
    settings = Trainer(max_epochs=1, batch_size=16, precision="32-true", device="cpu")
    fitted = FitSpec(spec, loss, AdamW(encoder_lr=0.01, head_lr=0.01), settings)

    def train(
        model: TorchClassifier,
        here: CompressionContext,
        epochs: int,
        rate: float,
        constraint: WeightConstraint | None,
    ) -> None:
        recover(fitted, None, here.scratch, model, here.tokens, epochs=epochs, lr_scale=rate, constraint=constraint)

    return train


def layers_of(model: TorchClassifier) -> list[torch.nn.Module]:
    """The layers of an encoder."""
    return list(model.get_submodule(layer_stem(model.config, "test")).children())


def parts_of(model: TorchClassifier, name: str) -> list[torch.nn.Module]:
    """Of each layer of an encoder the part that its layout gives this name, such as "merge", which reads the heads."""
    place = getattr(layout_of(model.config["model_type"], "test"), name)
    return [layer.get_submodule(place) for layer in layers_of(model)]


def some(context: CompressionContext, rows: int = 24) -> Batch:
    """Rows of the toy data set with padding, in no order."""
    return next(context.sample(rows, rows, seed=1))


def each_alone(batch: Batch) -> list[Batch]:
    """Every row in a batch of its own, without padding."""
    return [
        Batch(batch.row_ids[row], batch.input_ids[row, :length], batch.attention_mask[row, :length], batch.labels[row])
        for row, length in zip(torch.arange(len(batch.labels)).split(1), batch.attention_mask.sum(1), strict=True)
    ]


def reloaded(model: Classifier, folder: Path) -> Classifier:
    """The model after it was saved and loaded again."""
    saved_model.save(model, folder, {})
    return saved_model.load(folder)


def logits(model: TorchClassifier, batch: Batch) -> torch.Tensor:
    """(B, C) without dropout."""
    with torch.no_grad():
        return model.eval()(batch).logits


def sizes(model: TorchClassifier) -> int:
    """Number of weights."""
    return model.count_parameters()[0]
