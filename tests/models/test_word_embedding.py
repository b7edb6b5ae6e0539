"""A classifier's word embedding is found and replaced, whole or factorised, and its config says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.models import saved_model
from kd_lab.models.architectures import RANK, with_ours
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext, ModelSpec
from kd_lab.models.word_embedding import replace_word_embedding, word_embedding

VOCABULARY, WIDTH, KEPT = 20, 8, [0, 1, 4, 7, 9]
BERT = Encoder("bert", "bert", 1, WIDTH, heads=2, feed_forward=6, init="random", max_positions=16)
SPECS: dict[str, ModelSpec] = {
    "bert": BERT,
    "distilbert": replace(BERT, architecture="distilbert"),
    "roberta": replace(BERT, architecture="roberta"),
    "lstm": LstmAttention(embedding=WIDTH, hidden=6, init="random"),
}
each_model = pytest.mark.parametrize("name", SPECS)
each_form = pytest.mark.parametrize("rank", [None, 3])
Build = Callable[..., TorchClassifier]


@pytest.fixture
def build(own_cache: Cache) -> Build:
    def make(name: str, rank: int | None = None) -> TorchClassifier:
        model = SPECS[name].build(BuildContext(2, VOCABULARY, 0, "tokens", list, own_cache))
        if rank is not None:
            factorised = {**model.config, RANK: rank} if name == "lstm" else with_ours(model.config, RANK, rank)
            model = type(model)(factorised)
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight), alpha=0.3)
        return model.eval()

    return make


def batch(pieces: list[int]) -> Batch:
    ids = torch.tensor([pieces])
    return Batch(torch.arange(1), ids, torch.ones_like(ids), torch.zeros(1, dtype=torch.int64))


@each_model
@each_form
def test_it_is_the_table_with_a_row_for_each_piece(build: Build, name: str, rank: int | None) -> None:
    table = word_embedding(build(name, rank))
    assert tuple(table.weight.shape) == (VOCABULARY, rank or WIDTH)
    assert table.padding_idx == 0


@each_model
@each_form
def test_a_shorter_table_is_used_told_saved_and_loaded(
    build: Build, name: str, rank: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = build(name, rank)
    with torch.no_grad():
        expected = model(batch([7, 4, 9])).logits
    rows = word_embedding(model).weight.detach()[KEPT].clone()
    replace_word_embedding(model, nn.Embedding.from_pretrained(rows, freeze=False))
    with torch.no_grad():
        assert torch.equal(model(batch([3, 2, 4])).logits, expected)  # the same pieces by their new numbers
    assert word_embedding(model).padding_idx == 0
    assert model.config["vocabulary" if name == "lstm" else "vocab_size"] == len(KEPT)
    folder = tmp_path_factory.mktemp("saved") / "model"
    saved_model.save(model, folder, {})
    loaded = saved_model.load(folder)
    assert isinstance(loaded, TorchClassifier)
    with torch.no_grad():
        assert torch.equal(loaded(batch([3, 2, 4])).logits, expected)
    assert word_embedding(loaded).padding_idx == 0
    if name != "lstm":
        assert loaded.net.config.vocab_size == model.net.config.vocab_size == len(KEPT)


@pytest.mark.parametrize("name", ["bert", "distilbert", "lstm"])
@each_form
def test_another_piece_may_pad(build: Build, name: str, rank: int | None) -> None:
    model = build(name, rank)
    replace_word_embedding(model, nn.Embedding(6, rank or WIDTH, padding_idx=2))
    again = type(model)(model.config)
    assert word_embedding(again).padding_idx == word_embedding(model).padding_idx == 2


def test_where_positions_are_counted_from_the_padding_piece_it_stays(build: Build) -> None:
    model = build("roberta")
    before = model.config
    with pytest.raises(UserError, match=r"expected word piece 0 to pad, since roberta.*got word piece 2"):
        replace_word_embedding(model, nn.Embedding(6, WIDTH, padding_idx=2))
    assert word_embedding(model).num_embeddings == VOCABULARY
    assert model.config == before


@each_form
def test_another_width_is_an_error(build: Build, rank: int | None) -> None:
    with pytest.raises(ValueError, match=rf"is {rank or WIDTH} wide, the new one 5"):
        replace_word_embedding(build("lstm", rank), nn.Embedding(6, 5))


def test_other_classes_are_refused() -> None:
    with pytest.raises(UserError, match=r"expected an encoder or a student of word vectors.*got TorchClassifier"):
        word_embedding(TorchClassifier({}))
