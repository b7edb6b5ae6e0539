"""A corpus comes into rows of one length, whatever it is read from, and no row of it lies in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import masked_checkpoints
import numpy as np
import pandas as pd
import pytest
from masked_checkpoints import TEXTS
from peak_memory import STATUS, growth_mib
from row_files import write

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data import packed_corpus, parquet_file, transfer_rows
from kd_lab.data.packed_corpus import PackedCorpus, pack
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenizer import TokenizerFile

CLS, SEP, MASK = 2, 3, 4
GROWTH_MIB = 15  # of the memory, from 3,000 to 30,000 texts, of which the file alone is 7 MiB and as pieces 60 in lists


@pytest.fixture
def tokenizer(tmp_path: Path) -> TokenizerFile:
    return TokenizerFile(masked_checkpoints.write(tmp_path / "bert") / "tokenizer.json", 16)


def packed(corpus: TextCorpus, tokenizer: TokenizerFile, folder: Path) -> PackedCorpus:
    return pack(corpus, tokenizer, Cache(folder / "cache"))


def inner(rows: np.ndarray) -> list[int]:
    assert (rows[:, 0] == CLS).all()
    assert (rows[:, -1] == SEP).all()
    return rows[:, 1:-1].ravel().tolist()


def test_rows_hold_the_texts_one_behind_the_other_with_a_separator_between(tokenizer, tmp_path):
    path = masked_checkpoints.write_corpus(tmp_path / "more.txt", ["  ", *TEXTS, ""])
    corpus = packed(TextCorpus(str(path)), tokenizer, tmp_path)
    every = [tokenizer._pieces.encode(text, add_special_tokens=False).ids for text in TEXTS]
    learned = [*(text for at, text in enumerate(every) if at % 100)]
    stream = [piece for text in learned for piece in (*text, SEP)]
    rows = corpus.rows("train")
    assert inner(rows) == stream[: len(rows) * 14]
    assert len(stream) - len(rows) * 14 < 14, "only what fills no row is left out"
    held_out = [piece for text in every[::100] for piece in (*text, SEP)]
    assert inner(corpus.rows("held_out")) == held_out[: len(corpus.rows("held_out")) * 14]
    assert corpus.texts == {"train": len(learned), "held_out": len(every[::100])}
    assert corpus.rows("train").dtype == np.uint16
    assert (corpus.mask_id, corpus.special, corpus.frame) == (MASK, (0, 1, 2, 3, 4), 2)


def test_any_kind_of_file_and_any_number_of_them_read_in_any_pieces_give_the_same_rows(
    tokenizer, tmp_path, monkeypatch
):
    whole = packed(TextCorpus(str(masked_checkpoints.write_corpus(tmp_path / "all.txt"))), tokenizer, tmp_path)
    for module, name in ((transfer_rows, "PIECE"), (parquet_file, "PIECE")):
        monkeypatch.setattr(module, name, 7)
    monkeypatch.setattr(packed_corpus, "_LETTERS", 50)
    for number, part in enumerate((TEXTS[:70], TEXTS[70:])):
        for ending in ("parquet", "jsonl"):
            write(tmp_path / f"{number}.{ending}", {"n": range(len(part)), "words": part})
        masked_checkpoints.write_corpus(tmp_path / f"{number}.txt", part)
    for ending in ("parquet", "jsonl", "txt"):
        corpus = TextCorpus(str(tmp_path / f"[01].{ending}"), text_column="words")
        other = packed(corpus, tokenizer, tmp_path)
        assert np.array_equal(whole.rows("train"), other.rows("train"))
        assert np.array_equal(whole.rows("held_out"), other.rows("held_out"))


def test_texts_that_are_judged_may_lie_apart_and_rows_of_them_are_counted(tokenizer, tmp_path):
    train = str(masked_checkpoints.write_corpus(tmp_path / "train.txt", TEXTS[:90]))
    held_out = str(masked_checkpoints.write_corpus(tmp_path / "held.txt", TEXTS[90:]))
    corpus = packed(TextCorpus(train, held_out, held_out_rows=5), tokenizer, tmp_path)
    assert corpus.texts["train"] == 90
    assert len(corpus.rows("held_out")) == 5
    limited = packed(TextCorpus(train, held_out, limit=10), tokenizer, tmp_path)
    assert limited.texts["train"] == 10


def test_a_corpus_of_less_than_a_row_has_one_that_is_padded(tokenizer, tmp_path):
    path = masked_checkpoints.write_corpus(tmp_path / "few.txt", ["cat again", "dog again"])
    corpus = packed(TextCorpus(str(path)), tokenizer, tmp_path)
    assert corpus.rows("train").shape == (1, 16)
    assert corpus.lengths == {"train": 4, "held_out": 4}
    assert corpus.rows("train")[0, 4:].tolist() == [0] * 12


def test_a_word_that_was_taken_out_is_the_unknown_piece(tokenizer, tmp_path):
    path = masked_checkpoints.write_corpus(tmp_path / "gaps.txt", ["cat <unk> again"] * 20)
    plain = packed(TextCorpus(str(path)), tokenizer, tmp_path)
    told = packed(TextCorpus(str(path), unknown_word="<unk>"), tokenizer, tmp_path)
    assert inner(told.rows("train"))[1] == 1
    assert len(told.rows("train")) < len(plain.rows("train")), "three pieces were one word"


def test_a_data_set_of_the_hub_is_streamed_where_there_are_no_such_files(tokenizer, tmp_path):
    (tmp_path / "hub").mkdir()
    pd.DataFrame({"words": TEXTS, "n": 1}).to_parquet(tmp_path / "hub" / "train-0.parquet")
    corpus = TextCorpus(str(tmp_path / "none-*.txt"), hub_id=str(tmp_path / "hub"), text_column="words")
    whole = TextCorpus(str(masked_checkpoints.write_corpus(tmp_path / "all.txt")))
    found, expected = (packed(one, tokenizer, tmp_path) for one in (corpus, whole))
    assert np.array_equal(found.rows("train"), expected.rows("train"))
    with pytest.raises(UserError, match=r"expected a column 'text', got 'words', 'n'. Name it: corpus.text_col"):
        packed(replace(corpus, text_column="text"), tokenizer, tmp_path)
    with pytest.raises(UserError, match="its split 'other' on the hub"):
        packed(replace(corpus, split="other"), tokenizer, tmp_path)
    with pytest.raises(UserError, match=r"column 'n': expected texts, got int 1. Name another column"):
        packed(replace(corpus, text_column="n"), tokenizer, tmp_path)
    typo = str(tmp_path / "typo.txt")
    with pytest.raises(UserError, match=r"corpus.held_out_path .*typo.txt: expected texts without labels, got no such"):
        packed(replace(corpus, held_out_path=typo), tokenizer, tmp_path)
    assert next(replace(corpus, held_out_path=typo, held_out_split="train").held_out_texts()) == TEXTS


@pytest.mark.parametrize("texts", [["one text"], []])
def test_a_corpus_that_cannot_be_parted_is_refused(texts, tokenizer, tmp_path):
    path = masked_checkpoints.write_corpus(tmp_path / "few.txt", texts)
    with pytest.raises(UserError, match=rf"two texts or more, got {len(texts)} texts, and none to learn from"):
        packed(TextCorpus(str(path)), tokenizer, tmp_path)


def test_mistakes_name_the_corpuss_own_options(tokenizer, tmp_path):
    with pytest.raises(UserError, match=r"corpus.path .*nowhere.* several as in corpus.path='texts"):
        packed(TextCorpus(str(tmp_path / "nowhere.txt")), tokenizer, tmp_path)
    pd.DataFrame({"words": TEXTS}).to_parquet(tmp_path / "words.parquet")
    with pytest.raises(UserError, match=r"corpus.path .*words.parquet.*Name it: corpus.text_column=NAME"):
        packed(TextCorpus(str(tmp_path / "words.parquet")), tokenizer, tmp_path)
    with pytest.raises(UserError, match=r"expected corpus\.path or corpus\.hub_id, got neither"):
        TextCorpus()


def test_a_tokenizer_that_cannot_mask_is_refused(tmp_path):
    import tiny_checkpoints

    tiny_checkpoints.write_tokenizer(tmp_path / "plain")
    path = masked_checkpoints.write_corpus(tmp_path / "all.txt")
    with pytest.raises(UserError, match="a piece that masks"):
        packed(TextCorpus(str(path)), TokenizerFile(tmp_path / "plain" / "tokenizer.json", 16), tmp_path)


def test_it_is_named_by_what_the_files_hold(tmp_path):
    one = masked_checkpoints.write_corpus(tmp_path / "one.txt")
    two = masked_checkpoints.write_corpus(tmp_path / "two.txt")
    assert fingerprint(TextCorpus(str(one))) == fingerprint(TextCorpus(str(two), name="other"))
    (tmp_path / "one.csv").write_bytes(one.read_bytes())
    assert fingerprint(TextCorpus(str(one))) != fingerprint(TextCorpus(str(tmp_path / "one.csv")))
    masked_checkpoints.write_corpus(tmp_path / "two.txt", TEXTS[1:])
    assert fingerprint(TextCorpus(str(one))) != fingerprint(TextCorpus(str(two)))


@pytest.mark.skipif(not STATUS.exists(), reason="it is read from /proc")
def test_memory_does_not_grow_with_the_corpus(tokenizer, tmp_path):
    assert growth_mib("corpus", tmp_path, tokenizer.path, 3_000, 30_000) < GROWTH_MIB
