"""The word embedding becomes the nearest product of two smaller matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from readable import PIECES, SPECS, built, logits, reloaded, sizes, some

from kd_lab.compression.prune.low_rank_embedding import LowRankEmbedding, truncated
from kd_lab.compression.prune.vocabulary import TrimVocabulary
from kd_lab.compression.step import apply_all
from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttentionClassifier
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_embedding import embedding_module, word_embedding

WIDTHS = {"bert": 16, "distilbert": 16, "roberta": 16, "lstm": 8}
KINDS = {name: LstmAttentionClassifier if name == "lstm" else EncoderClassifier for name in WIDTHS}
each_model = pytest.mark.parametrize("name", WIDTHS)


def table(model) -> torch.Tensor:
    """(V, H): the vector of every piece."""
    with torch.no_grad():
        return embedding_module(model)(torch.arange(PIECES))


@each_model
def test_the_product_is_the_nearest_of_that_rank_and_smaller_by_what_its_factors_save(name, context):
    """numpy's decomposition gives the same error, and none is smaller (Eckart and Young)."""
    model = built(name)
    small = LowRankEmbedding(3, "alike", epochs=0).apply(model, context)
    values = np.linalg.svd(table(model).double().numpy(), compute_uv=False)
    least = float(np.sqrt((values[3:] ** 2).sum() / (values**2).sum()))
    error = float((table(small) - table(model)).norm() / table(model).norm())
    assert error == pytest.approx(least, rel=1e-4)
    said = {"rank": 3, "relative_error": round(least, 4), "relative_error_weighted": round(least, 4)}
    assert context.notes["low_rank_embedding"] == said
    assert sizes(model) - sizes(small) == PIECES * WIDTHS[name] - (PIECES * 3 + 3 * WIDTHS[name])


def test_a_table_with_more_rows_than_the_tokenizer_has_pieces_is_factorised(context, tmp_path):
    """As those of checkpoints that pad theirs to a round number."""
    more = BuildContext(4, PIECES + 9, 0, "tokens", list, Cache(tmp_path))
    model = SPECS["bert"].build(more).eval()
    small = LowRankEmbedding(3, epochs=0).apply(model, context)
    assert embedding_module(small)(torch.arange(PIECES + 9)).shape == (PIECES + 9, WIDTHS["bert"])


@each_model
def test_frequent_pieces_are_missed_by_least(name, context):
    """numpy's decomposition of the table, each row times the fourth root of its count, misses as much."""
    model = built(name)
    counts = np.zeros(PIECES)
    for row in context.tokens.sentences():
        for piece in row:
            counts[int(piece)] += 1
    before = table(model).double().numpy()
    scale = counts[:, None] ** 0.25
    values = np.linalg.svd(scale * before, compute_uv=False)
    least = float(np.sqrt((values[3:] ** 2).sum() / (values**2).sum()))
    missed, notes = [], []
    for weigh in ("root", "alike"):
        after = table(LowRankEmbedding(3, weigh, epochs=0).apply(model, context)).double().numpy()
        missed.append(float(np.linalg.norm(scale * (after - before)) / np.linalg.norm(scale * before)))
        notes.append(context.notes["low_rank_embedding"])
    assert missed[0] == pytest.approx(least, rel=1e-4)
    assert missed[0] < missed[1]
    assert notes[0]["relative_error_weighted"] == round(least, 4)
    assert notes[0]["relative_error"] > notes[1]["relative_error"]


@each_model
def test_a_table_of_that_rank_loses_nothing(name, context):
    model, batch = built(name), some(context)
    old = word_embedding(model)
    with torch.no_grad():
        old.weight.copy_(torch.randn(PIECES, 3) @ torch.randn(3, WIDTHS[name]))
    small = LowRankEmbedding(3, epochs=0).apply(model, context)
    assert context.notes["low_rank_embedding"]["relative_error"] == 0.0
    torch.testing.assert_close(logits(small, batch), logits(model, batch), atol=1e-4, rtol=0)


@each_model
def test_a_row_of_zeros_stays_one_and_the_padding_learns_nothing(name, context):
    model, batch = built(name), some(context)
    pad = word_embedding(model).padding_idx
    with torch.no_grad():
        word_embedding(model).weight[pad] = 0.0
    small = LowRankEmbedding(3, epochs=0).apply(model, context).train()
    assert int(table(small)[pad].count_nonzero()) == 0
    torch.nn.functional.cross_entropy(small(batch).logits, batch.labels).backward()
    slope = word_embedding(small).weight.grad
    assert word_embedding(small).padding_idx == pad
    assert int(slope[pad].count_nonzero()) == 0 < int(slope.count_nonzero())
    assert int(embedding_module(small).widen.weight.grad.count_nonzero()) > 0


@pytest.mark.parametrize("name", ["bert", "distilbert", "lstm"])
@pytest.mark.parametrize("order", [("trim_vocabulary", "low"), ("low", "trim_vocabulary")], ids=",".join)
def test_it_goes_with_trim_vocabulary_in_either_order(name, order, context, folder):
    """Pieces that train never has weigh nothing, so that the rows left are the same."""
    steps = {"trim_vocabulary": TrimVocabulary(), "low": LowRankEmbedding(3, epochs=0)}
    model, whole = built(name), context.tokens
    expected = logits(LowRankEmbedding(3, epochs=0).apply(model, context), some(context))
    small = apply_all({step: steps[step] for step in order}, model, context)
    torch.testing.assert_close(logits(small, some(context)), expected, atol=1e-4, rtol=0)
    assert word_embedding(small).weight.shape == (context.tokens.vocab_size, 3)
    assert context.tokens.vocab_size < whole.vocab_size
    assert torch.equal(logits(reloaded(small, folder), some(context)), logits(small, some(context)))


@each_model
def test_a_factorised_model_is_saved_loaded_and_factorised_again(name, context, folder):
    model, batch = built(name), some(context)
    once = LowRankEmbedding(6, epochs=0).apply(model, context)
    loaded = reloaded(once, folder)
    assert type(loaded) is KINDS[name]
    assert torch.equal(logits(loaded, batch), logits(once, batch))
    again = LowRankEmbedding(2, epochs=0).apply(loaded, context)
    direct = LowRankEmbedding(2, epochs=0).apply(model, context)
    torch.testing.assert_close(table(again), table(direct), atol=1e-3, rtol=0)
    with pytest.raises(UserError, match=r"rank: expected a rank below 6, .*got 6"):
        LowRankEmbedding(6).apply(loaded, context)


@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_transformers_does_not_take_it_for_its_own(name, context, folder):
    small = LowRankEmbedding(3, epochs=0).apply(built(name), context)
    assert not small.portable
    small.save(folder)
    _, about = transformers.AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert any("word_embeddings" in key for key in about["missing_keys"])  # it would draw them at random


@each_model
def test_a_rank_that_saves_nothing_is_refused_before_training(name):
    with pytest.raises(UserError, match=rf"low_rank_embedding\.rank: expected a rank below {WIDTHS[name]}, .*got 64"):
        LowRankEmbedding().check(KINDS[name], SPECS[name])
    LowRankEmbedding(WIDTHS[name] - 1).check(KINDS[name], SPECS[name])


def test_a_table_of_zeros_has_no_error(context):
    model = built("lstm")
    with torch.no_grad():
        word_embedding(model).weight.zero_()
    small = LowRankEmbedding(3, epochs=0).apply(model, context)
    assert int(table(small).count_nonzero()) == 0
    assert context.notes["low_rank_embedding"] == {"rank": 3, "relative_error": 0.0, "relative_error_weighted": 0.0}


def test_the_second_factor_is_orthonormal():
    first, second = truncated(torch.randn(9, 4, dtype=torch.float64), 2, torch.arange(9).double())
    assert (first.shape, second.shape) == ((9, 2), (4, 2))
    torch.testing.assert_close(second.T @ second, torch.eye(2, dtype=torch.float64))
