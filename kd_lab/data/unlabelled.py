"""Text without labels, which only a teacher judges: what of it may be learned from."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from kd_lab.data.dataset import UNLABELLED, Split

_LETTERS = re.compile(r"[^\W\d_]+")
JUDGED = ("validation", "test")


def without_judged(splits: dict[str, Split]) -> tuple[dict[str, Split], list[str]]:
    """The splits without the unlabelled rows of train that stand in validation or test, and a line that counts them.

    Two texts are the same where they differ in case, digits, punctuation and blanks alone; texts without a letter are
    the same only word for word. A labelled row stays, see `dataset.overlap`: to take it away is its owner's to decide.
    """
    train = splits["train"]
    unlabelled = np.flatnonzero(train.labels == UNLABELLED)
    if not len(unlabelled):
        return splits, []
    judged = {key for name in JUDGED for key in _keys(splits[name])}
    twins = [row for row, key in zip(unlabelled, _keys(train.take(unlabelled)), strict=True) if key in judged]
    if not twins:
        return splits, []
    kept = np.setdiff1d(np.arange(len(train.labels)), twins)
    told = f"{len(twins)} of {len(unlabelled)} rows without a label stand in validation or test and are left out"
    return {**splits, "train": train.take(kept)}, [told]


def _keys(split: Split) -> Iterator[str]:
    """What a row says, without what makes two copies of a text differ."""
    for row, text in enumerate(split.texts):
        whole = text if split.pairs is None else f"{text}\n{split.pairs[row]}"
        yield " ".join(_LETTERS.findall(whole.casefold())) or whole
