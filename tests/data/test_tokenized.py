"""Tokens in the cache are those the tokenizer gives row by row, and are named by all that they are made from."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from row_files import Held

from kd_lab.core import cache as cache_module
from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import Split, SplitPlan, Texts
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer

LONG = "a very long text " * 20
TEXTS = ["short", LONG, "naïve café ☕", "[MASK] of a thing", "x"] * 3
PAIRS = ["second", "another", LONG, "two words", LONG] * 3


def held(pairs: list[str] | None = None) -> Held:
    """The same rows in each split."""
    split = Split(TEXTS, np.arange(len(TEXTS)) % 2, pairs)
    return Held(Texts(dict.fromkeys(("train", "validation", "test"), split), ("no", "yes")))


def reference(tokenizer: Tokenizer, text: str, pair: str | None) -> tokenizers.Encoding:
    own = tokenizers.Tokenizer.from_file(str(tokenizer.path))
    own.no_padding()
    own.enable_truncation(tokenizer.max_tokens)
    return own.encode(text, pair)


@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["single", "pairs"])
def test_each_row_is_what_the_tokenizer_gives_for_it_alone(
    bert_tokenizer: Tokenizer, own_cache: Cache, pairs: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd_lab.data.tokenizer._CHUNK", 4)  # rows of several chunks follow each other
    tokens = tokenise(held(pairs), bert_tokenizer, own_cache)
    for name in ("train", "validation", "test"):
        split = tokens.split(name)
        assert isinstance(split.token_ids, np.memmap)
        assert len(split) == len(TEXTS)
        assert split.labels.tolist() == [row % 2 for row in range(len(TEXTS))]
        for row, text in enumerate(TEXTS):
            expected = reference(bert_tokenizer, text, pairs[row] if pairs else None)
            place = slice(split.offsets[row], split.offsets[row + 1])
            assert split.token_ids[place].tolist() == expected.ids
            assert split.lengths[row] == len(expected.ids) <= bert_tokenizer.max_tokens
            if pairs:
                assert split.token_type_ids is not None
                assert split.token_type_ids[place].tolist() == expected.type_ids
        assert (split.token_type_ids is None) == (pairs is None)


def test_bert_pieces_are_those_of_the_paper_s_vocabulary(bert_tokenizer: Tokenizer) -> None:
    assert bert_tokenizer.vocab_size == 30_522
    assert bert_tokenizer.pad_id == 0
    (rows,) = bert_tokenizer.encode(["Hello, world"], None)
    assert rows.token_ids.tolist() == [101, 7592, 1010, 2088, 102]  # [CLS] hello , world [SEP]
    assert rows.lengths.tolist() == [5]
    assert rows.token_type_ids is None


def test_they_know_their_classes_vocabulary_and_cut(toy_tokens: Tokens) -> None:
    assert toy_tokens.classes == ("animals", "food", "weather")
    assert (toy_tokens.vocab_size, toy_tokens.pad_id, toy_tokens.max_tokens) == (30_522, 0, 32)
    assert toy_tokens.warnings == ()
    train = toy_tokens.split("train")
    sentences = list(toy_tokens.sentences())
    assert len(sentences) == len(train) == 129
    assert [int(piece) for sentence in sentences for piece in sentence] == train.token_ids.tolist()


def test_rows_that_stand_in_two_splits_are_told(bert_tokenizer: Tokenizer, own_cache: Cache) -> None:
    warnings = tokenise(held(), bert_tokenizer, own_cache).warnings
    assert warnings[:2] == tuple(
        f"15 of 15 {name} rows stand in train too, word for word" for name in ("validation", "test")
    )


def test_a_data_set_is_tokenised_once_and_tells_how_far_it_is(bert_tokenizer: Tokenizer, own_cache: Cache) -> None:
    dataset, done = held(), []
    first = tokenise(dataset, bert_tokenizer, own_cache, done.append)
    assert sum(done) == 3 * len(TEXTS)
    cache_module._checked.clear()
    assert tokenise(dataset, bert_tokenizer, own_cache, done.append) == first
    assert dataset.loads == ["loaded"]
    assert sum(done) == 3 * len(TEXTS)


def test_whatever_they_are_made_from_renames_them(
    toy_csv: Path, bert_tokenizer: Tokenizer, own_cache: Cache, tmp_path: Path, minilm: Checkpoint
) -> None:
    data = Csv(str(toy_csv))
    other = tmp_path / "tokenizer"
    shutil.copytree(minilm.folder(), other, ignore=shutil.ignore_patterns("*.safetensors"))
    same = Tokenizer(Checkpoint("x/y", path=str(shutil.copytree(other, tmp_path / "same"))), max_tokens=32)
    settings = json.loads((other / "tokenizer.json").read_text())
    settings["normalizer"]["lowercase"] = False
    (other / "tokenizer.json").write_text(json.dumps(settings))
    pairs = [
        (data, bert_tokenizer),
        (data, replace(bert_tokenizer, max_tokens=16)),
        (replace(data, split=SplitPlan(seed=1)), bert_tokenizer),
        (data, Tokenizer(Checkpoint("x/y", path=str(other)), max_tokens=32)),
    ]
    names = [tokenise(dataset, tokenizer, own_cache).fingerprint for dataset, tokenizer in pairs]
    assert len(set(names)) == 4
    assert tokenise(data, same, own_cache).fingerprint == names[0]


def test_a_damaged_array_is_made_anew(bert_tokenizer: Tokenizer, own_cache: Cache) -> None:
    tokens = tokenise(held(), bert_tokenizer, own_cache)
    path = tokens.folder / "train.labels.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])
    cache_module._checked.clear()
    assert tokenise(held(), bert_tokenizer, own_cache) == tokens
    assert path.read_bytes() == whole
    assert f"{path}: expected the {len(whole)} bytes that were written" in own_cache.warnings[0]


def test_a_cut_that_leaves_no_room_is_refused(minilm: Checkpoint) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.max_tokens: expected at least 4, got 3"):
        Tokenizer(minilm, max_tokens=3)


def test_a_damaged_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json: expected a fast tokenizer"):
        _ = Tokenizer(Checkpoint("x/y", path=str(tmp_path))).vocab_size
