"""Rows that share words in a row stay together when splits are carved: phrases of a sentence, copies of a text."""

from __future__ import annotations

import numpy as np
import pytest

from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan
from kd_lab.data.row_groups import row_groups

ADJECTIVES = ["dull", "bright", "slow", "warm", "odd", "grim", "brisk", "plain"]
NOUNS = ["story", "film", "cast", "plot", "tune", "scene"]


def sentence(number: int) -> str:
    """A sentence that shares no four words in a row with another."""
    first, second = ADJECTIVES[number % 8], NOUNS[number // 8 % 6]
    return f"n{number} a {first} m{number} of {second} k{number} and more of it{number}"


def phrases(sentences: int) -> list[str]:
    """Each sentence, two of its phrases that share four words, and one of two words that only it has."""
    rows = []
    for number in range(sentences):
        words = sentence(number).split()
        rows += [" ".join(words), " ".join(words[:6]), " ".join(words[2:8]), " ".join(words[-2:])]
    return rows


def same(groups: np.ndarray) -> list[list[int]]:
    """The rows of each group."""
    return sorted(np.flatnonzero(groups == group).tolist() for group in np.unique(groups))


def test_phrases_of_a_sentence_are_one_group_and_sentences_are_apart() -> None:
    assert same(row_groups(phrases(6), 4)) == [[4 * one, 4 * one + 1, 4 * one + 2, 4 * one + 3] for one in range(6)]


def test_rows_that_only_others_connect_are_one_group() -> None:
    texts = ["a b c d e f", "c d e f g h", "e f g h i j", "x b c d y"]
    assert same(row_groups(texts, 4)) == [[0, 1, 2], [3]]
    assert same(row_groups(texts, 3)) == [[0, 1, 2, 3]]


def test_case_punctuation_and_blanks_do_not_count() -> None:
    assert same(row_groups(["It, is  WARM today!", "it is warm today", "it is warm"], 4)) == [[0, 1, 2]]


def test_a_short_row_that_stands_in_two_groups_belongs_to_neither() -> None:
    texts = ["one of the best we saw", "all of the best they made", "of the best", "of the best", "we saw", "other"]
    assert same(row_groups(texts, 4)) == [[0, 4], [1], [2, 3], [5]]


@pytest.mark.parametrize("texts", [["", "  ", "!"], ["a"], [], ["a b c", "a b c"]])
def test_texts_without_words_and_single_rows_have_groups_too(texts: list[str]) -> None:
    groups = row_groups(texts, 5)
    assert groups.dtype == np.int64
    assert len(groups) == len(texts)
    assert len(set(groups.tolist())) == min(len(texts), 1)


def carved(texts: list[str], labels: list[int], **options: object) -> dict[str, Split]:
    plan = SplitPlan(**{"group_words": 4, **options})  # type: ignore[arg-type]
    return plan.complete({"train": Split(texts, np.array(labels))})


def test_no_split_cuts_a_group_and_each_class_has_its_share() -> None:
    texts = phrases(100)
    splits = carved(texts, [row // 4 % 2 for row in range(400)])
    assert {name: len(split.texts) for name, split in splits.items()} == {"train": 288, "test": 80, "validation": 32}
    for split in splits.values():
        whole = {text for text in split.texts if len(text.split()) == 11}
        assert len(split.texts) == 4 * len(whole), "all four phrases of a sentence, or none"
        assert np.bincount(split.labels).tolist() == [len(split.texts) // 2] * 2


def test_the_seed_says_which_groups() -> None:
    texts, labels = phrases(40), [row // 4 % 2 for row in range(160)]
    first, again, other = (carved(texts, labels, seed=seed)["test"].texts for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_group_with_a_row_without_a_label_stays_in_train() -> None:
    labels = [row // 4 % 2 for row in range(160)]
    labels[::8] = [UNLABELLED] * 20
    splits = carved(phrases(40), labels)
    assert (splits["test"].labels == 1).all()
    assert len(splits["test"].texts) == 16


def test_groups_of_pairs_are_of_both_texts() -> None:
    train = Split(["why", "who"] * 40, np.array([0, 1] * 40), [sentence(row // 2) for row in range(80)])
    test = SplitPlan(group_words=4).complete({"train": train})["test"]
    assert test.pairs is not None
    assert len(test.pairs) == 2 * len(set(test.pairs))


def test_groups_that_are_all_too_large_are_refused() -> None:
    with pytest.raises(UserError, match="got 1, the largest of 30 rows") as raised:
        carved(["the very same text here"] * 30, [0, 1] * 15)
    assert raised.value.where == "dataset.split.group_words"


def test_splits_carved_row_by_row_are_called_as_before() -> None:
    assert "group_words" not in SplitPlan().fingerprint_parts()
    assert len({fingerprint(SplitPlan(group_words=words)) for words in (None, 4, 5)}) == 3
