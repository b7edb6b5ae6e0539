"""Neighbours of a word are the words whose vectors are nearest, in the embedding that the checkpoint holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints as tiny
from safetensors.numpy import load_file, save_file

from kd_lab.core.errors import UserError
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.neighbours import TABLES, in_the_case_of, neighbours


def test_they_are_the_words_of_the_highest_cosine_in_order(minilm: Checkpoint) -> None:
    found = neighbours(["good", "Film", "unbelievablest", "5", "[MASK]", "##s", "tüv"], 6, minilm)
    assert set(found) == {"good", "Film"}, "a word of several pieces, of digits or of signs has none"
    table = next(array for name, array in load_file(minilm.weights()).items() if name.endswith(TABLES))
    pieces = json.loads((minilm.folder() / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    whole = [word for word in pieces if len(word) > 1 and word.isalpha() and word.isascii()]
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    for word, near in found.items():
        cosine = {other: float(unit[pieces[other]] @ unit[pieces[word.lower()]]) for other in whole}
        told = [cosine[other] for other in near]
        assert word.lower() not in near
        assert told == sorted(told, reverse=True)
        assert min(told) >= sorted(cosine.values())[-7] - 1e-3, "itself and six more"


def test_a_checkpoint_without_a_known_table_is_refused(tmp_path: Path) -> None:
    tiny.write(tmp_path, "bert")
    weights = tmp_path / "model.safetensors"
    save_file({name.replace("word", "other"): array for name, array in load_file(weights).items()}, weights)
    with pytest.raises(UserError, match=r"expected a word embedding.*dataset\.augmentation\.replace=0"):
        neighbours(["good"], 3, Checkpoint("a/b", path=str(tmp_path)))


@pytest.mark.parametrize(
    ("word", "other", "told"),
    [
        ("Good", "bad", "Bad"),
        ("GOOD", "bad", "BAD"),
        ("good", "bad", "bad"),
        ("Rome", "NASA", "NASA"),
        ("I", "we", "We"),
    ],
)
def test_capitals_are_kept(word: str, other: str, told: str) -> None:
    assert in_the_case_of(word, other) == told
