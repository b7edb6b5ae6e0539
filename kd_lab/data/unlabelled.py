"""Text without labels, which only a teacher judges: what of it may be learned from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

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
    kept = np.ones(len(train.labels), bool)
    kept[unlabelled] = np.fromiter((key not in judged for key in _keys(train.take(unlabelled))), bool, len(unlabelled))
    if kept.all():
        return splits, []
    twins = len(kept) - int(kept.sum())
    told = f"{twins} of {len(unlabelled)} rows without a label stand in validation or test and are left out"
    return {**splits, "train": train.take(np.flatnonzero(kept))}, [told]


def _keys(split: Split) -> Iterator[str]:
    """What a row says, without what makes two copies of a text differ."""
    wholes: Iterable[str] = split.texts if split.pairs is None else map("{}\n{}".format, split.texts, split.pairs)
    for whole in wholes:
        yield " ".join(_LETTERS.findall(whole.casefold())) or whole
