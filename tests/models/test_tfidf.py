"""The tf-idf row is scikit-learn's to the last figures, in torch and in ONNX, and says what it does not take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.types import Batch
from kd_lab.models import saved_model
from kd_lab.models.spec import BuildContext
from kd_lab.models.tfidf import Tfidf, TfidfClassifier

VOCABULARY, CLASSES = 40, 3


def rows(kinds: int) -> tuple[list[list[str]], np.ndarray]:
    """60 rows in which the last piece but one tells the class; pieces come again within a row."""
    numbers = np.random.default_rng(0)
    labels = np.arange(60) % kinds
    texts = [[*map(str, numbers.integers(1, 9, numbers.integers(1, 12))), str(20 + label), "30"] for label in labels]
    return texts, labels


def terms(longest: int, text: str) -> list[tuple[str, ...]]:
    pieces = text.split()
    return [tuple(pieces[at : at + n]) for n in range(1, longest + 1) for at in range(len(pieces) - n + 1)]


def batch(texts: list[list[str]], filler: int = 7) -> Batch:
    longest = max(map(len, texts)) + 3
    ids = torch.tensor([[*map(int, row), *[filler] * (longest - len(row))] for row in texts])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in texts])
    return Batch(torch.arange(len(texts)), ids, mask, torch.zeros(len(texts), dtype=torch.int64))


def fitted(kinds: int, ngrams: int, cache: Cache, labels: np.ndarray | None = None) -> TfidfClassifier:
    texts, true = rows(kinds)
    given = true if labels is None else labels
    context = BuildContext(CLASSES, VOCABULARY, 0, "t", lambda: texts, cache, labels=lambda: given)
    return Tfidf(ngrams=ngrams, buckets=100_000).build(context)


@pytest.mark.parametrize("kinds", [2, 3])
@pytest.mark.parametrize("ngrams", [1, 2, 3])
def test_it_says_what_scikit_learns_own_pipeline_says(kinds: int, ngrams: int, own_cache: Cache) -> None:
    texts, labels = rows(kinds)
    counts = CountVectorizer(analyzer=partial(terms, ngrams))  # no hash
    theirs = make_pipeline(counts, TfidfTransformer(sublinear_tf=True), LogisticRegression(max_iter=1000))
    expected = theirs.fit([" ".join(row) for row in texts], labels).predict_proba([" ".join(row) for row in texts])
    ours = fitted(kinds, ngrams, own_cache)(batch(texts)).logits.softmax(1).numpy()
    assert np.allclose(ours[:, :kinds], expected, atol=1e-3)  # theirs stops a little elsewhere
    assert ours[:, kinds:].max(initial=0) < 1e-6  # a class without a row


def test_rows_without_a_label_count_for_idf_alone(own_cache: Cache) -> None:
    _, labels = rows(2)
    half = np.where(np.arange(60) < 40, labels, -1)
    whole, part = fitted(2, 1, own_cache), fitted(2, 1, own_cache, half)
    assert torch.equal(whole.idf.weight, part.idf.weight)
    assert not torch.equal(whole.terms.weight, part.terms.weight)


def test_onnx_saving_and_padding_change_nothing(own_cache: Cache, tmp_path: Path) -> None:
    texts, _ = rows(3)
    model = fitted(3, 2, own_cache)
    said = model(batch(texts)).logits
    assert torch.equal(said, model(batch(texts, filler=0)).logits)
    alone = torch.cat([model(batch([text])).logits for text in texts])
    torch.testing.assert_close(alone, said, atol=1e-5, rtol=0)
    exported, small = OnnxExport().apply(model), OnnxInt8().apply(model)
    torch.testing.assert_close(exported(batch(texts)).logits, said, atol=1e-5, rtol=0)
    torch.testing.assert_close(exported(batch(texts[:1])).logits, said[:1], atol=1e-5, rtol=0)
    assert (small(batch(texts)).logits.argmax(1) == said.argmax(1)).float().mean() > 0.95
    saved_model.save(model, tmp_path / "saved", {})
    assert torch.equal(saved_model.load(tmp_path / "saved")(batch(texts)).logits, said)


def test_its_name_is_its_options() -> None:
    assert fingerprint(Tfidf(name="other")) == fingerprint(Tfidf()) != fingerprint(Tfidf(C=2.0))


LABELS = ["teacher=none", "loss=cross_entropy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "model tfidf: expected labels alone to learn from, got a loss that needs the teacher's logits"),
        (["teacher=none", "loss=virtual_adversarial"], "got a loss that learns from texts without one"),
        ([*LABELS, "compression=[prune_l1]"], "compression.prune_l1: expected a network, got TfidfClassifier"),
        ([*LABELS, "compression=[trim_vocabulary,onnx]"], "compression.trim_vocabulary: expected a network"),
        ([*LABELS, "model.C=0"], "model.C"),
    ],
)
def test_what_it_does_not_take_is_said_before_any_fit(
    options: list[str], words: str, refusal: Callable[..., str]
) -> None:
    told = refusal("model=tfidf", *options)
    assert words in told
    assert "done" not in told
