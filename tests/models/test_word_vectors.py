"""Word vectors from a teacher or a file: the right vector for each piece, each source once, mistakes in one line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors
from student_kinds import STUDENTS

from kd_lab.__main__ import command
from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.data.tokenized import Tokens
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder
from kd_lab.models.spec import BuildContext
from kd_lab.models.static import Static
from kd_lab.models.teacher_vectors import components, rarity
from kd_lab.models.vectors_file import form_of
from kd_lab.models.word_embedding import word_embedding

VOCABULARY, PAD, WIDTH = 30, 0, 8
TEACHER = Encoder("teacher", "bert", layers=1, width=16, heads=2, feed_forward=16, init="random", max_positions=16)
ROWS = [["3", "4", "4"], ["4", "5"]]


def bare(cache: Cache, **more: Any) -> BuildContext:
    return BuildContext(3, VOCABULARY, PAD, "tokens", lambda: ROWS, cache, **more)


def teacher(cache: Cache, vocabulary: int = VOCABULARY) -> TorchClassifier:
    torch.manual_seed(5)
    return TEACHER.build(bare(cache)._replace(vocab_size=vocabulary)).eval()


def table(spec: Any, context: BuildContext) -> torch.Tensor:
    torch.manual_seed(1)
    found: torch.Tensor = spec.build(context).embedding.weight.detach()
    return found


def test_vectors_are_centred_but_those_that_the_seeds_lstm_is_trained_from(own_cache: Cache) -> None:
    rows = [[str(3 + (row * 7 + place) % 20) for place in range(5)] for row in range(60)]
    context = bare(own_cache)._replace(sentences=lambda: rows)
    static, lstm = (
        table(replace(STUDENTS[name], init="word2vec"), context)[3:23].mean(0).norm() for name in ("static", "lstm")
    )
    assert static < 1e-4
    assert lstm > 0.1


@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("init", ["random", "teacher"])
def test_vectors_have_one_spread_whatever_their_source(name: str, init: str, own_cache: Cache) -> None:
    """At that of 1 a CNN learned nothing of 5,000 rows of SST-2: few updates turned vectors so long."""
    spread = 1.0 if name.startswith("lstm") else 0.1
    found = table(replace(STUDENTS[name], init=init), bare(own_cache, teacher=teacher(own_cache)))
    assert found[1:].std() == pytest.approx(spread, rel=0.2)


# out of a teacher


def test_the_teachers_own_vectors_are_taken_as_they_are_where_as_wide(own_cache: Cache) -> None:
    source = teacher(own_cache)
    found = table(Static(embedding=16, init="teacher"), bare(own_cache, teacher=source))
    theirs = word_embedding(source).weight.detach()
    theirs = theirs - theirs.mean(0)
    assert torch.allclose(found[1:], (theirs / theirs.std())[1:] * Static.spread, atol=1e-6)
    assert not found[PAD].any()


def test_where_narrower_they_keep_the_distances_that_their_first_components_do(own_cache: Cache) -> None:
    source = teacher(own_cache)
    found = table(Static(embedding=WIDTH, init="teacher"), bare(own_cache, teacher=source))
    theirs = word_embedding(source).weight.detach().double()
    left, sizes, _ = torch.linalg.svd(theirs - theirs.mean(0), full_matrices=False)  # by another way
    expected = (left * sizes)[:, :WIDTH]
    ratio = torch.cdist(found[1:].double(), found[1:].double()) / torch.cdist(expected[1:], expected[1:])
    ratio.fill_diagonal_(ratio[0, 1])
    assert torch.allclose(ratio, ratio[0, 1].expand_as(ratio), rtol=1e-4)


def test_where_wider_the_rest_stays_random(own_cache: Cache) -> None:
    found = table(Static(embedding=20, init="teacher"), bare(own_cache, teacher=teacher(own_cache)))
    start = table(Static(embedding=20, init="random"), bare(own_cache))
    assert torch.equal(found[:, 16:], start[:, 16:])
    assert not torch.isclose(found[1:, :16], start[1:, :16]).all(1).any()


def test_a_teacher_whose_vocabulary_is_padded_serves_and_a_smaller_one_does_not(own_cache: Cache) -> None:
    spec = Static(embedding=16, init="teacher")
    table(spec, bare(own_cache, teacher=teacher(own_cache, VOCABULARY + 2)))
    with pytest.raises(UserError, match=r"model\.init: expected one that knows 30 pieces, got one of 20"):
        table(spec, bare(own_cache, teacher=teacher(own_cache, 20)))


def test_components_are_those_of_the_centred_vectors_largest_first() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(40, 5) * torch.tensor([1.0, 9.0, 3.0, 0.1, 0.5]) + 7
    found = components(vectors, 2)
    assert found.shape == (40, 2)
    assert torch.allclose(found.mean(0), torch.zeros(2), atol=1e-4)
    assert torch.corrcoef(torch.stack([found[:, 0], vectors[:, 1]]))[0, 1].abs() > 0.99
    assert torch.corrcoef(torch.stack([found[:, 1], vectors[:, 2]]))[0, 1].abs() > 0.95


def test_rarity_is_sifs_weight_at_zipfs_share_of_the_rank() -> None:
    found = rarity(torch.tensor([0, 7, 9, 7]))  # ranks 4, 2, 1, 3
    share = np.array([1 / 4, 1 / 2, 1, 1 / 3]) / (1 + 1 / 2 + 1 / 3 + 1 / 4)
    assert np.allclose(found.numpy(), 1e-4 / (1e-4 + share), rtol=1e-5)


def test_the_teachers_outputs_are_its_states_of_each_piece_in_its_frame(
    toy_tokens: Tokens, bert_tokenizer: Tokenizer, own_cache: Cache
) -> None:
    source = teacher(own_cache, toy_tokens.vocab_size)
    there = BuildContext(3, 300, 0, toy_tokens.fingerprint, lambda: [], own_cache, source, None, bert_tokenizer.path)
    found = table(Static(embedding=16, init="teacher_outputs"), there)
    source.returns = frozenset({"hidden"})
    expected = []
    for piece in range(300):
        ids = torch.tensor([[101, piece, 102]])  # [CLS] and [SEP] of BERT
        with torch.no_grad():
            expected.append(source(Batch(ids[0], ids, torch.ones_like(ids), ids[0])).hidden[0].mean(0))
    weighted = torch.stack(expected) * rarity(torch.zeros(300))[:, None]
    weighted = weighted - weighted.mean(0)
    assert torch.allclose(found[1:], (weighted / weighted.std())[1:] * Static.spread, atol=1e-5)


def test_what_a_teacher_says_is_asked_once_for_all_seeds(own_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    source, spec = teacher(own_cache), Static(embedding=WIDTH, init="teacher_outputs")
    first = table(spec, bare(own_cache, teacher=source, teacher_fingerprint="mine"))
    monkeypatch.setattr(type(source), "forward", lambda *_: pytest.fail("asked again"))
    again = table(spec, bare(own_cache, teacher=source, teacher_fingerprint="mine"))
    assert torch.equal(first, again)
    with pytest.raises(pytest.fail.Exception):
        table(spec, bare(own_cache, teacher=source, teacher_fingerprint="another"))


@pytest.mark.parametrize("init", ["teacher", "teacher_outputs"])
def test_without_a_teacher_it_is_refused_before_training(init: str, refusal: Callable[..., str]) -> None:
    told = refusal("model=static", f"model.init={init}", "teacher=none", "loss=cross_entropy")
    assert "model.init: expected a teacher that is a model, for its word vectors, got none" in told


def test_the_command_starts_from_a_small_teacher(
    toy_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = f"dataset=csv dataset.path={toy_csv} model=static model.init=teacher_outputs model.embedding=8".split()
    line += ["model@teacher.model=lstm_attention", "teacher.model.init=random", "teacher.model.hidden=8"]
    line += [f"{whose}trainer.max_epochs=1" for whose in ("teacher.", "")]
    assert command([*line, "evaluation=none", "tracking=none", "trainer.device=cpu"]) == 0
    assert "teacher on each word piece alone" in capsys.readouterr().err


# out of a file


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    """The same vectors in each format; "cat" is in it, "Fox" with a capital, and words that are no pieces."""
    vectors = KeyedVectors(WIDTH)
    words = ["cat", "dog", "qzxqzx", "."]
    vectors.add_vectors(words, np.random.default_rng(0).normal(size=(len(words), WIDTH)).astype(np.float32))
    files = {name: tmp_path / name for name in ("text.txt", "binary.bin", "glove.txt", "packed.txt.gz")}
    vectors.save_word2vec_format(str(files["text.txt"]), binary=False)
    vectors.save_word2vec_format(str(files["binary.bin"]), binary=True)
    content = files["text.txt"].read_text(encoding="utf-8")
    files["glove.txt"].write_text(content.partition("\n")[2], encoding="utf-8")
    with gzip.open(files["packed.txt.gz"], "wt", encoding="utf-8") as file:
        file.write(content)
    return files


@pytest.mark.parametrize("name", ["text.txt", "binary.bin", "glove.txt", "packed.txt.gz"])
def test_each_piece_gets_its_words_vector_and_others_stay_random(
    name: str,
    written: dict[str, Path],
    toy_tokens: Tokens,
    bert_tokenizer: Tokenizer,
    own_cache: Cache,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = written[name]
    sizes = (3, toy_tokens.vocab_size, 0, toy_tokens.fingerprint, toy_tokens.sentences)
    there = BuildContext(*sizes, own_cache, tokenizer=bert_tokenizer.path)
    found = table(Static(embedding=WIDTH, init="file", vectors=str(path)), there)
    start = table(Static(embedding=WIDTH, init="random"), there)
    source = KeyedVectors.load_word2vec_format(str(path), binary=name == "binary.bin", no_header=name == "glove.txt")
    numbers = bert_tokenizer._pieces.get_vocab()
    had = ["cat", "dog", "."]
    theirs = np.stack([source[word] for word in had])
    theirs -= theirs.mean(0)
    assert np.allclose(
        found[[numbers[word] for word in had]].numpy(), theirs / theirs.std(ddof=1) * Static.spread, atol=1e-5
    )
    others = [number for piece, number in numbers.items() if piece not in had and number != 0]
    assert torch.equal(found[others], start[others])
    assert f"{name}: vectors of 3 of 30,522 pieces" in capsys.readouterr().err


def test_a_files_name_is_its_content(written: dict[str, Path], tmp_path: Path) -> None:
    spec = Static(embedding=WIDTH, init="file", vectors=str(written["text.txt"]))
    copy = tmp_path / "copy.txt"
    copy.write_bytes(written["text.txt"].read_bytes())
    assert fingerprint(replace(spec, vectors=str(copy))) == fingerprint(spec)
    copy.write_text(copy.read_text(encoding="utf-8").replace("dog", "hen"), encoding="utf-8")
    assert fingerprint(replace(spec, vectors=str(copy))) != fingerprint(spec)


def test_the_form_of_a_file_is_found(written: dict[str, Path]) -> None:
    forms = {name: tuple(form_of(path)) for name, path in written.items()}
    assert forms == {
        "text.txt": (WIDTH, True, False),
        "binary.bin": (WIDTH, True, True),
        "glove.txt": (WIDTH, False, False),
        "packed.txt.gz": (WIDTH, True, False),
    }


def test_a_file_with_no_piece_in_it_is_refused(tmp_path: Path, bert_tokenizer: Tokenizer, own_cache: Cache) -> None:
    (tmp_path / "other.txt").write_text("qzxqzx 1 2\nzzqqzz 3 4\n", encoding="utf-8")
    spec = Static(embedding=2, init="file", vectors=str(tmp_path / "other.txt"))
    with pytest.raises(UserError, match="word vectors of some piece that the student reads, got 2 other words"):
        spec.build(bare(own_cache, tokenizer=bert_tokenizer.path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("model.vectors=nowhere.txt", "nowhere.txt: expected word vectors in word2vec's format, text or binary, or in"),
        ("model.vectors=nowhere.txt", "got no such file"),
        ("model.vectors=toy.csv", "its first line is neither a header nor a word with its numbers"),
        ("model.vectors=narrow.txt", "model.embedding: expected 2, the width of narrow.txt, got 128"),
        ("model.vectors=null", "model.vectors: expected a file of word vectors, for init=file, got none"),
        (
            "model.vectors=narrow.txt model.init=random",
            "expected model.init=file, to read that file, got model.init=ran",
        ),
    ],
)
def test_a_file_that_will_not_do_is_one_line_before_training(
    options: str, words: str, refusal: Callable[..., str]
) -> None:
    Path("narrow.txt").write_text("cat 1 2\ndog 3 4\n", encoding="utf-8")
    init = [] if "model.init" in options else ["model.init=file"]
    told = refusal("model=static", "teacher=none", "loss=cross_entropy", *init, *options.split())
    assert words in told
    assert "done" not in told


@pytest.mark.parametrize("name", STUDENTS)
def test_every_student_takes_every_source(name: str, own_cache: Cache) -> None:
    source = teacher(own_cache)
    for init in ("word2vec", "teacher", "teacher_outputs"):
        spec = replace(STUDENTS[name], init=init)
        assert spec.starts_from_teacher is (init != "word2vec")
        found = table(spec, bare(own_cache, teacher=source))
        assert not torch.equal(found, table(STUDENTS[name], bare(own_cache)))
        assert found[1:].isfinite().all()
