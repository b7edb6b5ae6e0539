"""The LSTM student: its size, blind to padding, and word vectors that are the same each time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gensim.models import Word2Vec
from safetensors.torch import load_file

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.data.tokenized import Tokens
from kd_lab.models.base import masked_softmax
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext

SMALL = LstmAttention(embedding=8, hidden=10, layers=2, dropout=0.5, init="random")
VOCABULARY, PAD = 30, 0
SENTENCES = [[str(3 + (row * 7 + place) % 20) for place in range(5)] for row in range(60)]  # 23 to 29 never occur


def context(cache: Cache, sentences: list[list[str]] | None = None) -> BuildContext:
    return BuildContext(4, VOCABULARY, PAD, "tokens", lambda: sentences or SENTENCES, cache)


def batch(*lengths: int) -> Batch:
    numbers = torch.Generator().manual_seed(0)
    pieces = torch.randint(1, VOCABULARY, (len(lengths), max(lengths)), generator=numbers)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return Batch(torch.arange(len(lengths)), pieces * mask, mask, torch.zeros(len(lengths), dtype=torch.int64))


def test_the_default_has_3_9_million_parameters_with_berts_pieces(own_cache: Cache) -> None:
    model = LstmAttention(init="random").build(BuildContext(2, 30_522, 0, "tokens", list, own_cache))
    vectors = 30_522 * 100
    lstm = 4 * 240 * (100 + 240 + 2) + 4 * 240 * (240 + 240 + 2)  # four gates, two bias vectors each
    attention = 240 * 240 + 240 + 240
    assert model.count_parameters()[0] == vectors + lstm + attention + 240 * 2 + 2 == 3_901_802


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_in_training_it_computes_the_same_with_dropout_before_each_layer_and_the_head(
    own_cache: Cache, layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = replace(SMALL, layers=layers).build(context(own_cache))
    thinned: list[torch.Size] = []
    monkeypatch.setattr(model.dropout, "forward", lambda states: thinned.append(states.shape) or states)
    said = model(batch(5, 3)).logits
    assert [len(shape) for shape in thinned] == [3] * layers + [2]
    torch.testing.assert_close(said, model.eval()(batch(5, 3)).logits)


def test_attention_gives_padding_no_weight() -> None:
    scores = torch.tensor([[0.0, 0.0, 5.0], [1.0, 2.0, 3.0], [7.0, 9.0, 9.0]])
    weights = masked_softmax(scores, torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]]))
    e = np.exp
    assert weights[0].tolist() == [0.5, 0.5, 0.0]
    assert weights[1].tolist() == pytest.approx([e(n) / (e(1) + e(2) + e(3)) for n in (1, 2, 3)])
    assert weights[2].tolist() == [1.0, 0.0, 0.0]


def test_it_computes_what_its_formula_says(own_cache: Cache) -> None:
    model = SMALL.build(context(own_cache)).eval()
    given = batch(3, 5)
    model.returns = frozenset({"logits", "hidden"})
    said = model(given)
    assert said.hidden is not None
    for row, length in enumerate((3, 5)):
        states = said.hidden[row, :length]
        scores = torch.tensor([float(model.score.weight[0] @ torch.tanh(model.attention(state))) for state in states])
        pooled = sum(weight * state for weight, state in zip(scores.exp() / scores.exp().sum(), states, strict=True))
        torch.testing.assert_close(model.classifier(pooled), said.logits[row], atol=1e-6, rtol=0)


# word vectors


def vectors(cache: Cache, seed: int = 0, word2vec_seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    spec = replace(SMALL, init="word2vec", word2vec_seed=word2vec_seed)
    return spec.build(context(cache)).embedding.weight.detach()


def test_word_vectors_are_the_same_in_another_process(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from kd_lab.core.cache import Cache
from kd_lab.models.spec import BuildContext
from kd_lab.models.lstm_attention import LstmAttention
cache = Cache(Path({str(tmp_path / "there")!r}))
around = BuildContext(4, {VOCABULARY}, {PAD}, "tokens", lambda: {SENTENCES!r}, cache)
LstmAttention(embedding=8, hidden=10, layers=2, dropout=0.5).build(around)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, check=True)
    vectors(Cache(tmp_path / "here"))
    found = [load_file(next((tmp_path / place).rglob("*.safetensors"))) for place in ("here", "there")]
    assert all(torch.equal(found[0][name], found[1][name]) for name in ("ids", "vectors"))


def test_sentences_that_are_read_anew_in_each_pass_give_the_vectors_of_a_list(tmp_path: Path) -> None:
    """With sentences enough for several threads, which gensim would not keep in order."""
    spec, many = replace(SMALL, init="word2vec"), SENTENCES * 200
    spec.build(context(Cache(tmp_path))._replace(sentences=lambda: (list(one) for one in many)))
    found = load_file(next(tmp_path.rglob("*.safetensors")))
    options = {"vector_size": spec.embedding, "epochs": spec.word2vec_epochs, "seed": spec.word2vec_seed}
    expected = Word2Vec(many, min_count=1, sg=1, workers=1, **options).wv
    assert found["ids"].tolist() == [int(piece) for piece in expected.index_to_key]
    assert np.array_equal(found["vectors"].numpy(), expected.vectors)


def test_they_are_trained_once_for_all_seeds_of_a_fit(tmp_path: Path) -> None:
    cache, asked = Cache(tmp_path), []

    def sentences() -> list[list[str]]:
        asked.append("a pass")
        return SENTENCES

    passes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        replace(SMALL, init="word2vec").build(context(cache)._replace(sentences=sentences))
        passes.append(len(asked))
    assert passes == [1 + SMALL.word2vec_epochs] * 2
    seen = slice(3, 23)
    assert torch.equal(vectors(cache, seed=0)[seen], vectors(cache, seed=1)[seen])
    assert not torch.equal(vectors(cache)[seen], vectors(cache, word2vec_seed=1)[seen])


def test_pieces_never_seen_keep_their_random_vector_and_padding_is_zero(own_cache: Cache) -> None:
    trained = vectors(own_cache)
    torch.manual_seed(0)
    start = SMALL.build(context(own_cache)).embedding.weight.detach()
    never = [1, 2, *range(23, VOCABULARY)]
    assert torch.equal(trained[never], start[never])
    assert not torch.isclose(trained[3:23], start[3:23]).all(dim=1).any()
    assert trained[PAD].abs().sum() == start[PAD].abs().sum() == 0
    assert trained[3:23].std() == pytest.approx(1, abs=0.01)


def test_padding_stays_zero_even_where_the_tokens_hold_it(own_cache: Cache) -> None:
    torch.manual_seed(0)
    spec = replace(SMALL, init="word2vec")
    model = spec.build(context(own_cache, [["0", "3", "4"]] * 20))
    assert model.embedding.weight[PAD].abs().sum() == 0
    model(batch(3, 5)).logits.sum().backward()
    assert model.embedding.weight.grad is not None
    assert model.embedding.weight.grad[PAD].abs().sum() == 0


def test_words_that_occur_together_come_to_lie_together(own_cache: Cache) -> None:
    groups = [["3", "4", "5", "6"], ["10", "11", "12", "13"]]
    numbers = np.random.default_rng(0)
    sentences = [numbers.permutation(groups[row % 2]).tolist() * 2 for row in range(400)]
    spec = replace(SMALL, init="word2vec", embedding=16, word2vec_epochs=20)
    weights = torch.nn.functional.normalize(spec.build(context(own_cache, sentences)).embedding.weight.detach(), dim=1)
    alike = weights @ weights.T
    assert alike[3, 4:7].min() > alike[3, 10:14].max()


def test_tokens_of_the_cache_are_what_it_learns_from(toy_tokens: Tokens, own_cache: Cache) -> None:
    there = BuildContext(3, toy_tokens.vocab_size, 0, toy_tokens.fingerprint, toy_tokens.sentences, own_cache)
    replace(SMALL, init="word2vec").build(there)
    ids = load_file(next(own_cache.root.glob("word2vec/*/vectors.safetensors")))["ids"]
    assert set(ids.tolist()) == set(toy_tokens.split("train").token_ids.tolist())


# options and saving


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"model\.init: expected word2vec, random, teacher, .* or file, got 'pretrained'"
    ):
        LstmAttention(init="pretrained")  # type: ignore[arg-type]
