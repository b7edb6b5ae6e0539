"""Trimming takes away what train never uses: the same answers to known texts, shorter pieces for the rest."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tokenizers
import torch
from readable import PIECES, SPECS, built

from kd_lab.compression.prune.vocabulary import TrimVocabulary
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.core.errors import UserError
from kd_lab.data.loader import BatchLoader
from kd_lab.models.word_embedding import word_embedding

KINDS = [name for name in SPECS if name != "roberta"]  # whose positions are counted from the padding piece's number


@pytest.fixture(scope="module")
def made():
    """What `trimmed` has made, for each test the same."""
    return {}


@pytest.fixture(params=KINDS)
def trimmed(request, context, made):
    if request.param not in made:
        model, before = built(request.param).eval(), context.tokens
        whole = tokenizers.Tokenizer.from_file(str(context.tokenizer))
        made[request.param] = model, before, whole, TrimVocabulary().apply(model, context), context
    return made[request.param]


def test_texts_of_kept_pieces_get_the_same_logits_to_the_last_bit(trimmed):
    """Those of train are: nothing of theirs is left out."""
    model, before, _, small, context = trimmed
    old, new = (BatchLoader(tokens.split("train"), 30, tokens.pad_id) for tokens in (before, context.tokens))
    one, two = old.batch(np.arange(30)), new.batch(np.arange(30))
    assert torch.equal(one.labels, two.labels)
    assert not torch.equal(one.input_ids, two.input_ids)
    with torch.no_grad():
        assert torch.equal(model(one).logits, small(two).logits)


def test_the_vocabulary_is_trains_and_the_model_has_a_row_for_each_piece(trimmed):
    model, before, _, small, context = trimmed
    used = len(np.unique(before.split("train").token_ids))
    assert used < context.tokens.vocab_size < PIECES / 5
    assert word_embedding(small).num_embeddings == context.tokens.vocab_size
    assert word_embedding(model).num_embeddings == PIECES
    lost = (PIECES - context.tokens.vocab_size) * word_embedding(model).embedding_dim
    assert model.count_parameters()[0] - small.count_parameters()[0] == lost
    assert np.array_equal(context.tokens.split("test").labels, before.split("test").labels)


def test_an_unknown_word_falls_apart_as_word_piece_does_and_a_known_one_stays(trimmed):
    _, _, whole, _, context = trimmed
    trim = tokenizers.Tokenizer.from_file(str(context.tokenizer))
    trim.no_padding()
    whole.no_padding()
    kept = set(trim.get_vocab())
    assert trim.encode("the cat").tokens == whole.encode("the cat").tokens
    said = trim.encode("jurisprudence").tokens
    assert len(said) > len(whole.encode("jurisprudence").tokens)
    assert "".join(piece.removeprefix("##") for piece in said[1:-1]) == "jurisprudence"
    assert set(said) <= kept
    assert trim.encode("\u4e16 ok").tokens.count("[UNK]") == whole.encode("\u4e16 ok").tokens.count("[UNK]")
    assert context.notes["trim_vocabulary"]["pieces_after"] == len(kept)


def test_a_saved_one_answers_by_the_new_pieces(trimmed, tmp_path):
    _, _, _, small, context = trimmed
    small.save(tmp_path)
    batch = next(context.sample(8, 8))
    with torch.no_grad():
        assert torch.equal(type(small).load(tmp_path)(batch).logits, small(batch).logits)


@pytest.mark.parametrize("trimmed", ["distilbert", "lstm"], indirect=True)  # to export BERT is no other path
def test_an_int8_one_answers_by_the_new_pieces(trimmed):
    _, _, _, small, context = trimmed
    batch = next(context.sample(8, 8))
    with torch.no_grad():
        exact = small(batch).logits
    rough = OnnxInt8().apply(small, context)
    assert isinstance(rough, OnnxClassifier)
    assert float((rough(batch).logits - exact).abs().mean()) < 0.3 * float(exact.std())


def test_first_keeps_the_lowest_ids_but_not_the_unused(context):
    TrimVocabulary(first=5000).apply(built("distilbert"), context)
    kept = json.loads(context.tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    assert "the" in kept
    assert "[unused5]" not in kept
    assert 4000 < len(kept) < 7000


def test_another_kind_of_tokenizer_is_refused(context, tmp_path):
    other = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))  # noqa: S106
    other.save(str(tmp_path / "tokenizer.json"))
    context.tokenizer = tmp_path / "tokenizer.json"
    with pytest.raises(UserError, match=r"compression\.trim_vocabulary: expected a WordPiece tokenizer"):
        TrimVocabulary().apply(built("distilbert"), context)
