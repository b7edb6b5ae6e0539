"""What is said of labels before anything is learned from them: classes with hardly a row, one text with two labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from kd_lab.data.dataset import UNLABELLED, Split, Texts
from kd_lab.data.label_sets import named

FEWEST = 5  # rows of a class in train, below which it is named
_SHOWN = 5  # classes that a warning names
_LETTERS = 60  # of a text that a warning quotes


def label_warnings(texts: Texts) -> list[str]:
    """A line on classes with fewer than `FEWEST` rows in train, and one on texts with two labels, in all splits."""
    return [*_rare(texts), *_contradictions(texts)]


def _rare(texts: Texts) -> Iterator[str]:
    labels = np.asarray(texts.splits["train"].labels)
    labels, sets = labels[labels != UNLABELLED], texts.label_sets
    counts = np.bincount(labels, minlength=len(texts.classes)) if sets is None else sets[labels].sum(axis=0)
    if rare := [int(number) for number in np.flatnonzero(counts < FEWEST)]:
        named = ", ".join(f"{texts.classes[number]!r} {counts[number]}" for number in rare[:_SHOWN])
        more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
        yield f"{len(rare)} of {len(counts)} classes have fewer than {FEWEST} rows in train: {named}{more}"


def _contradictions(texts: Texts) -> Iterator[str]:
    first: dict[str | tuple[str, str], int] = {}
    other: dict[str | tuple[str, str], int] = {}
    for row, label in _labelled(texts.splits):
        if first.setdefault(row, label) != label:
            other.setdefault(row, label)
    if other:
        rows = sum(row in other for row, _ in _labelled(texts.splits))
        text, label = next(iter(other.items()))
        quoted = text if isinstance(text, str) else " / ".join(text)
        quoted = f"{quoted[:_LETTERS]}{'...' if len(quoted) > _LETTERS else ''}"
        names = " and ".join(repr(_called(texts, number)) for number in (first[text], label))
        number = f"{len(other):,} texts have" if len(other) > 1 else "1 text has"
        what = "more than one label" if texts.label_sets is None else "more than one set of labels"
        yield f"{number} {what}, in {rows:,} rows, e.g. {quoted!r}: {names}"


def _called(texts: Texts, number: int) -> str:
    return texts.classes[number] if texts.label_sets is None else named(texts.label_sets[number], texts.classes)


def _labelled(splits: Mapping[str, Split]) -> Iterator[tuple[str | tuple[str, str], int]]:
    for split in splits.values():
        for row, label in zip(split.rows(), np.asarray(split.labels).tolist(), strict=True):
            if label != UNLABELLED:
                yield row, label
