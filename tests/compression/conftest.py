"""Tiny models and batches for the tests of compression."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import exported_once
import pytest
import torch

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.core.cache import Cache
from kd_lab.core.types import Batch
from kd_lab.data.csv import Csv
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer, TokenizerFile
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext, ModelSpec
from kd_lab.training.weight_constraint import WeightConstraint

VOCABULARY = 60
SHAPE = {"layers": 2, "width": 32, "heads": 2, "feed_forward": 48, "max_positions": 64, "init": "random"}
SPECS: dict[str, ModelSpec] = {
    "bert": Encoder(name="bert", architecture="bert", **SHAPE),
    "distilbert": Encoder(name="distilbert", architecture="distilbert", **SHAPE),
    "lstm": LstmAttention(embedding=24, hidden=32, init="random"),
}


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TorchClassifier]:
    """Name of a spec -> a model in training mode in which no two tensors are equal, as after a fit."""

    def make(name: str) -> TorchClassifier:
        torch.manual_seed(7)
        store = Cache(tmp_path_factory.mktemp("cache"))
        model = SPECS[name].build(BuildContext(4, VOCABULARY, 0, "tokens", lambda: [], store))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.15)
        return model

    return make


@pytest.fixture(scope="session", autouse=True)
def exports() -> dict[str, bytes]:
    """An export that takes a second is made once for each model."""
    return exported_once.keep()


@pytest.fixture
def anew(exports: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test each export is made anew; those that were made before are there again afterwards."""
    for name in list(exports):
        monkeypatch.delitem(exports, name)


@pytest.fixture(scope="session")
def exported(build: Callable[[str], TorchClassifier]) -> Callable[[str], OnnxClassifier]:
    """Name of a spec -> that model as ONNX; exported once, which takes seconds."""
    return cache(lambda name: OnnxExport().apply(build(name)))


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """(B, T) -> random tokens in which every row but the first is padded."""

    def make(rows: int, tokens: int, segments: bool = False) -> Batch:
        generator = torch.Generator().manual_seed(rows * 1000 + tokens)
        ids = torch.randint(1, VOCABULARY, (rows, tokens), generator=generator)
        lengths = torch.randint(1, tokens + 1, (rows, 1), generator=generator).index_fill(0, torch.tensor([0]), tokens)
        mask = (torch.arange(tokens) < lengths).long()
        types = (torch.arange(tokens) > tokens // 2).long().expand(rows, tokens) if segments else None
        return Batch(torch.arange(rows), ids * mask, mask, torch.zeros(rows, dtype=torch.int64), types)

    return make


@pytest.fixture
def context(
    toy_tokens: Tokens, bert_tokenizer: Tokenizer, own_cache: Cache, toy_csv: Path, tmp_path: Path
) -> CompressionContext:
    """The toy data set in BERT's word pieces; training is noted and changes nothing."""

    def retokenise(file: Path) -> Tokens:
        return tokenise(Csv(str(toy_csv)), TokenizerFile(file, bert_tokenizer.max_tokens), own_cache)

    def train(
        model: TorchClassifier,
        context: CompressionContext,
        epochs: int,
        lr_scale: float,
        constraint: WeightConstraint | None,
    ) -> None:
        context.notes["trained"] = {"epochs": epochs, "rate": lr_scale}

    return CompressionContext(toy_tokens, bert_tokenizer.path, tmp_path / "scratch", retokenise, train)


@pytest.fixture
def no_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes any use of pickle an error."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickle was used")

    for name in ("pickle.load", "pickle.loads", "pickle.Unpickler", "torch.load", "torch.save", "pickle.dump"):
        monkeypatch.setattr(name, refuse)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to save into."""
    path = tmp_path / "model"
    path.mkdir()
    return path
