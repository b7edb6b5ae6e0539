"""Texts that are cut and words that the tokenizer does not know are told in numbers, with what would do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from kd_lab.data.dataset import Split
from kd_lab.data.token_warnings import token_warnings
from kd_lab.data.tokenizer import Tokenizer

PLAIN = "nobody here expected so much rain"  # six pieces and the two around them


def told(tokenizer: Tokenizer, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[str]:
    split = Split(list(texts), np.zeros(len(texts), np.int64), None if pairs is None else list(pairs))
    lengths = np.concatenate([rows.lengths for rows in tokenizer.encode(split.texts, split.pairs)])
    return token_warnings(tokenizer, {"train": split}, {"train": lengths})


def test_rows_that_are_cut_are_told_with_what_would_take_them(bert_tokenizer: Tokenizer) -> None:
    """G9: 32 pieces are taken, of which two are [CLS] and [SEP]."""
    [line] = told(bert_tokenizer, [PLAIN] * 30 + ["rain " * 58] * 10)
    assert line == (
        "25 % of 40 texts are longer than tokenizer.max_tokens=32 and are cut; tokenizer.max_tokens=60 would take them "
        "all, where the model has as many positions"
    )
    assert not told(replace(bert_tokenizer, max_tokens=60), [PLAIN] * 30 + ["rain " * 58] * 10)


def test_a_few_long_texts_do_not_hide_what_takes_nine_in_ten(bert_tokenizer: Tokenizer) -> None:
    [line] = told(bert_tokenizer, ["rain " * 38] * 39 + ["rain " * 998])
    assert "tokenizer.max_tokens=1000 would take them all, 40 nine in ten of them" in line


def test_a_text_that_just_fits_is_not_cut(bert_tokenizer: Tokenizer) -> None:
    assert not told(bert_tokenizer, ["rain " * 30] * 20)
    assert told(bert_tokenizer, ["rain " * 31] * 20)


def test_of_a_pair_both_texts_and_three_pieces_count(bert_tokenizer: Tokenizer) -> None:
    [line] = told(bert_tokenizer, ["rain " * 40] * 20, ["snow " * 27] * 20)
    assert "tokenizer.max_tokens=70 " in line


def test_unknown_pieces_are_told_with_another_tokenizer_as_the_cure(bert_tokenizer: Tokenizer) -> None:
    """G23: every word is [UNK], and no word was said of it."""
    [line] = told(bert_tokenizer, [f"อาหารอร่อยมากจริงๆ {row}" for row in range(60)])
    assert "about 50 % of the pieces of train stand for something unknown" in line
    assert "tokenizer.checkpoint.path=FOLDER" in line


def test_words_that_fall_into_letters_are_told(bert_tokenizer: Tokenizer) -> None:
    [line] = told(bert_tokenizer, ["здравствуй друг", PLAIN.replace("so", "12345")] * 25)
    assert "29 % of its words fall into single letters" in line  # 2 of 7: numbers and short words are none


@pytest.mark.parametrize("text", [PLAIN, "3141592653589793 x y z !!", "[MASK] of a thing", "naïve cafés in Zürich"])
def test_of_texts_that_it_knows_nothing_is_said(bert_tokenizer: Tokenizer, text: str) -> None:
    assert not told(bert_tokenizer, [text] * 60)


def test_it_costs_a_small_part_of_tokenising(bert_tokenizer: Tokenizer) -> None:
    """Meant is a twentieth; a machine that others use is given a fifth."""
    texts = [f"{PLAIN} {'and snow ' * (row % 30)}" for row in range(20_000)]
    split = Split(texts, np.zeros(len(texts), np.int64))
    start = time.perf_counter()
    lengths = np.concatenate([rows.lengths for rows in bert_tokenizer.encode(texts, None)])
    tokenising = time.perf_counter() - start
    assert token_warnings(bert_tokenizer, {"train": split}, {"train": lengths})
    assert time.perf_counter() - start - tokenising < tokenising / 5
