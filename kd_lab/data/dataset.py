"""What every data set gives: texts with labels, split; checked before anything is made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Rows, Seed, ShareBetween, Task, WordsInARow
from kd_lab.data.row_groups import row_groups, without_cutting
from kd_lab.data.stored_texts import take
from kd_lab.data.stratify import bearing, in_proportion, stratified

UNLABELLED = -1
MULTI_CLASS: Task = "multi_class"  # one label a row
MULTI_LABEL: Task = "multi_label"  # any number of them


class Split(NamedTuple):
    """Rows of one split, in order; a row's id is its place.

    A row of train without a label (-1) is text that only a teacher judges: a fit that asks no teacher passes over it.
    Texts are a list, or lie on disk where there may be any number of them, see `stored_texts`.
    """

    texts: Sequence[str]
    labels: np.ndarray  # (N,) int64, class index or -1; where a row may bear several labels, the row of `label_sets`
    pairs: Sequence[str] | None = None  # the second text of each row, or None for single sentences
    ids: list[str] | None = None  # what the data set's own column calls each row, "" where it says nothing

    def rows(self) -> Iterable[str | tuple[str, str]]:
        """What each row says: its text, or its two."""
        return self.texts if self.pairs is None else zip(self.texts, self.pairs, strict=True)

    def take(self, rows: np.ndarray) -> Split:
        """The rows named, in that order."""
        pairs = None if self.pairs is None else take(self.pairs, rows)
        ids = None if self.ids is None else [self.ids[row] for row in rows]
        return Split(take(self.texts, rows), self.labels[rows], pairs, ids)

    def with_unlabelled(self, rows: Sequence[Sequence[str]]) -> Split:
        """The same rows, and below them others that have no label: their texts, of pairs two each."""
        pairs = None if self.pairs is None else [*self.pairs, *(row[1] for row in rows)]
        return self.with_texts([*self.texts, *(row[0] for row in rows)], pairs)

    def with_texts(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Split:
        """The same rows and more, whose texts are given with theirs above them; those below have no label."""
        more = len(texts) - len(self.labels)
        labels = np.concatenate([self.labels, np.full(more, UNLABELLED, np.int64)])
        return Split(texts, labels, pairs, None if self.ids is None else [*self.ids, *[""] * more])

    def with_labels(self, limit: int, seed: int, sets: np.ndarray | None = None) -> Split:
        """The same rows, of which at most `limit` keep their label, chosen at random, each class in proportion.

        Args:
            sets: `Texts.label_sets`.
        """
        labelled = np.flatnonzero(self.labels != UNLABELLED)
        kept = labelled[in_proportion(self.labels[labelled], limit, seed, sets)]
        labels = np.full_like(self.labels, UNLABELLED)
        labels[kept] = self.labels[kept]
        return self._replace(labels=labels)


class Texts(NamedTuple):
    """A data set in memory: splits train, validation and test, and the classes' names by index."""

    splits: dict[str, Split]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what its reader took for granted, a line each
    carved: tuple[str, ...] = ()  # splits that are rows of the file of train, of those that say so
    label_sets: np.ndarray | None = None  # (K, C) bool, which labels a row bears, where it may bear several


class Dataset(Protocol):
    """Where texts come from; constructor arguments are its options."""

    @property
    def name(self) -> str:
        """What results call it."""

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its identity: the hash of the files or the revision, and how it is split."""

    def load(self) -> Texts:
        """Reads it."""


def without_transfer(dataset: Any) -> Any:
    """The data set without the text that only a teacher judges, be it from files or out of labelled rows.

    The same object where there is none.
    """
    given = {name: None for name in ("transfer_path", "augmentation") if getattr(dataset, name, None) is not None}
    if "augmentation" in given and not dataset.augmentation.factor:
        del given["augmentation"]
    return replace(dataset, **given) if given else dataset


@dataclass(frozen=True)
class SplitPlan:
    """How splits that are not given are carved out of the labelled rows, each class in proportion.

    Args:
        test_fraction: share of all rows that becomes test where no test split is given.
        validation_fraction: share of train that becomes validation where none is given.
        seed: which rows; apart from the fit's seed, so that all seeds of a sweep see the same splits.
        limit: at most this many rows in each split, each class in proportion; None takes all.
        group_words: rows that share so many words in a row stay together, such as phrases of one sentence or copies of
            one text; None carves row by row. See `row_groups`.
    """

    test_fraction: ShareBetween = 0.2
    validation_fraction: ShareBetween = 0.1
    seed: Seed = 0
    limit: Rows | None = None
    group_words: WordsInARow | None = None

    def __post_init__(self) -> None:
        for name in ("test_fraction", "validation_fraction"):
            if not 0 < getattr(self, name) < 1:
                got = repr(getattr(self, name))
                raise UserError(
                    f"dataset.split.{name}", expected="a number above 0 and below 1", got=got, cure="Give another."
                )
        if self.limit is not None and self.limit < 1:
            raise UserError(
                "dataset.split.limit", expected="rows, from 1", got=repr(self.limit), cure="Give more, or null."
            )

    def complete(self, splits: dict[str, Split], sets: np.ndarray | None = None) -> dict[str, Split]:
        """Train, validation and test, carved out of train where they are missing.

        Args:
            sets: `Texts.label_sets`.
        """
        splits = dict(splits)
        for name, fraction in (("test", self.test_fraction), ("validation", self.validation_fraction)):
            if name not in splits:
                kept, taken = self._carved(splits["train"], fraction, sets)
                splits[name] = splits["train"].take(taken)
                splits["train"] = splits["train"].take(kept)
        if self.limit is None:
            return splits
        return {name: self._limited(split, self.limit, sets) for name, split in splits.items()}

    def _carved(self, train: Split, fraction: float, sets: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        if self.group_words is None:
            return stratified(train.labels, fraction, self.seed, sets)
        texts = train.texts if train.pairs is None else list(map("{}\n{}".format, train.texts, train.pairs))
        groups = row_groups(texts, self.group_words)
        return without_cutting(groups, bearing(train.labels, sets), fraction, self.seed)

    def fingerprint_parts(self) -> dict[str, Any]:
        """All options; rows that are carved one by one, as they always were, rename nothing."""
        return {name: value for name, value in vars(self).items() if (name, value) != ("group_words", None)}

    def _limited(self, split: Split, limit: int, sets: np.ndarray | None) -> Split:
        return split if len(split.texts) <= limit else split.take(in_proportion(split.labels, limit, self.seed, sets))


def checked(texts: Texts, where: str) -> Texts:
    """The same texts, once they are fit to learn from.

    Raises:
        UserError: an empty split, an empty or non-string text, fewer than two classes in train, or a label in
            another split that train lacks.
    """
    for name, split in texts.splits.items():
        place = f"{where}, split {name}"
        if not split.texts:
            raise UserError(place, expected="rows", got="none", cure="Give a file that has some.")
        for column in (split.texts, split.pairs or []):
            if _all_have_text(column):
                continue
            for row, text in enumerate(column):
                if not isinstance(text, str) or not text.strip():
                    got = (
                        "an empty text" if text is None or isinstance(text, str) else f"{type(text).__name__} {text!r}"
                    )
                    raise UserError(f"{place}, row {row}", expected="a text", got=got, cure="Mend or remove that row.")
    known = classes_of(texts.splits["train"], texts.label_sets)
    if len(known) < 2:
        got = f"only {texts.classes[known.pop()]!r}" if known else "no labelled row"
        raise UserError(
            f"{where}, split train", expected="at least two classes", got=got, cure="Check the label column."
        )
    for name, split in texts.splits.items():
        if strange := sorted(classes_of(split, texts.label_sets) - known):
            raise UserError(
                f"{where}, split {name}",
                expected="only labels that train has",
                got=repr(texts.classes[strange[0]]),
                cure="Add rows of that class to train, or remove them here.",
            )
        if name != "train" and (split.labels == UNLABELLED).any():
            raise UserError(
                f"{where}, split {name}",
                expected="a label on every row",
                got="rows with label -1",
                cure="Choose a labelled split, e.g. dataset.splits.test=validation.",
            )
    return texts


def classes_of(split: Split, sets: np.ndarray | None) -> set[int]:
    """The classes that rows of a split bear.

    Args:
        sets: `Texts.label_sets`.
    """
    found = np.unique(split.labels[split.labels != UNLABELLED])
    return set((found if sets is None else np.flatnonzero(sets[found].any(axis=0))).tolist())


def _all_have_text(column: Sequence[Any]) -> bool:
    try:
        return all(map(str.strip, column))
    except TypeError:  # not a string
        return False


def overlap(splits: dict[str, Split]) -> list[str]:
    """A warning for each split that shares rows with train."""
    found = []
    for name in ("validation", "test"):
        in_both = set(splits[name].rows()).intersection(splits["train"].rows())  # train, the longest, is not kept
        if shared := sum(row in in_both for row in splits[name].rows()):
            found.append(f"{shared} of {len(splits[name].texts)} {name} rows stand in train too, word for word")
    return found
