"""Classes with hardly a row and texts with two labels are told, by number and by name."""

from __future__ import annotations

import numpy as np

from kd_lab.data.dataset import Split, Texts
from kd_lab.data.label_warnings import label_warnings


def texts(train: str, test: str = "", *, pairs: bool = False) -> Texts:
    """Each letter is a row: its text, and its label 1 where it is a capital, 0 else, none of a question mark."""

    def split(letters: str) -> Split:
        labels = [-1 if one == "?" else int(one.isupper()) for one in letters]
        found = [one.lower() for one in letters]
        return Split(found, np.array(labels, dtype=np.int64), [str(n) for n in range(len(letters))] if pairs else None)

    return Texts({"train": split(train), "test": split(test)}, ("small", "capital", "never"))


def test_classes_with_fewer_than_five_rows_in_train_are_named() -> None:
    [told] = label_warnings(texts("abcdeFGHI????", "JKLM"))
    assert told == "2 of 3 classes have fewer than 5 rows in train: 'capital' 4, 'never' 0"


def test_a_text_with_two_labels_is_counted_in_all_splits() -> None:
    *_, told = label_warnings(texts("aabcdefGHIJK?", "AGa?"))
    assert told == "1 text has more than one label, in 4 rows, e.g. 'a': 'small' and 'capital'"
    *_, told = label_warnings(texts("abcdefGHIJK", "ABg"))
    assert told.startswith("3 texts have more than one label, in 6 rows, e.g. 'a': ")
    assert not [one for one in label_warnings(texts("aAbcdeFGHI", pairs=True)) if "more than one" in one]
