"""Whole words as tokens: which, in which order, and how a text becomes them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import tokenizers

from kd_lab.core.cache import Cache, file_hash, fingerprint
from kd_lab.data.csv import Csv
from kd_lab.data.word_tokenizer import END, SPECIAL, START, UNKNOWN, Vocabulary, WordTokenizer

TEXTS = ["The soup of the day, soup!", "Café soup day", "a Soup a day"]


@pytest.fixture
def rows(tmp_path: Path) -> Csv:
    table = pd.DataFrame({"text": TEXTS * 20, "label": ["a", "b", "b"] * 20, "second": ["soup"] * 60})
    table.to_csv(tmp_path / "rows.csv", index=False)
    table[:3].to_csv(tmp_path / "others.csv", index=False)
    (tmp_path / "more.txt").write_text("goulash of goulash with gravy\n" * 30, encoding="utf-8")
    others = str(tmp_path / "others.csv")
    return Csv(str(tmp_path / "rows.csv"), test_path=others, validation_path=others)


def made(rows: Csv, tmp_path: Path, words: int = 100, *, lowercase: bool = True) -> Vocabulary:
    return WordTokenizer(words, lowercase).of(rows, Cache(tmp_path / "cache"))


def said(vocabulary: Vocabulary, *texts: str) -> list[list[str]]:
    read = tokenizers.Tokenizer.from_file(str(vocabulary.path))
    return [one.tokens for one in read.encode_batch(list(texts))]


def test_words_are_numbered_by_how_often_they_stand_in_train_behind_the_special_ones(rows, tmp_path):
    found = made(rows, tmp_path)
    words = tokenizers.Tokenizer.from_file(str(found.path)).get_vocab()
    in_order = sorted(words, key=words.__getitem__)
    assert in_order[:6] == [*SPECIAL, "soup"]
    assert set(in_order[5:]) == {"soup", "the", "of", "day", ",", "!", "cafe", "a"}
    assert found.pad_id == 0
    assert found.vocab_size == 13
    assert found.is_piece("[MASK]"), "by which augmentation hides words"


def test_a_word_of_no_number_is_unknown_and_only_so_many_have_one(rows, tmp_path):
    assert said(made(rows, tmp_path, 1), "Soup of Cafés") == [[START, "soup", UNKNOWN, UNKNOWN, END]]
    assert made(rows, tmp_path, 1).vocab_size == len(SPECIAL) + 1


def test_letters_stay_as_they_are_where_asked(rows, tmp_path):
    words = tokenizers.Tokenizer.from_file(str(made(rows, tmp_path, lowercase=False).path)).get_vocab()
    assert {"The", "the", "Soup", "soup", "Café"} <= set(words)
    assert "cafe" not in words


def test_texts_without_a_label_have_their_words_too(rows, tmp_path):
    taught = Csv(**{**vars(rows), "transfer_path": str(tmp_path / "more.txt")})
    assert said(made(taught, tmp_path), "goulash") == [[START, "goulash", END]]
    assert said(made(rows, tmp_path), "goulash") == [[START, UNKNOWN, END]]


def test_pairs_have_two_types_and_both_are_read(rows, tmp_path):
    pairs = Csv(**{**vars(rows), "pair_column": "second"})
    [encoded] = made(pairs, tmp_path).encode(["the soup"], ["a day"])
    assert encoded.token_type_ids.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert encoded.lengths.tolist() == [7]


def test_it_is_made_alike_anywhere_and_named_by_what_it_says(rows, tmp_path):
    one, other = made(rows, tmp_path), made(rows, tmp_path / "elsewhere")
    assert file_hash(one.path) == file_hash(other.path)
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(made(rows, tmp_path, 1))
    assert one.path.parent.parent.name == "vocabulary"
