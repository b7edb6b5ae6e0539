"""What every data set gives: texts with labels, split; checked before anything is made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Rows, Seed, ShareBetween, Task
from kd_lab.data.stored_texts import take
from kd_lab.data.stratify import in_proportion_sets, stratified_sets

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
    """

    test_fraction: ShareBetween = 0.2
    validation_fraction: ShareBetween = 0.1
    seed: Seed = 0
    limit: Rows | None = None

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
                kept, taken = stratified(splits["train"].labels, fraction, self.seed, sets)
                splits[name] = splits["train"].take(taken)
                splits["train"] = splits["train"].take(kept)
        if self.limit is None:
            return splits
        return {name: self._limited(split, self.limit, sets) for name, split in splits.items()}

    def _limited(self, split: Split, limit: int, sets: np.ndarray | None) -> Split:
        return split if len(split.texts) <= limit else split.take(in_proportion(split.labels, limit, self.seed, sets))


def in_proportion(labels: np.ndarray, limit: int, seed: int, sets: np.ndarray | None = None) -> np.ndarray:
    """Ids of `limit` rows, ascending, chosen at random, each class in proportion; of all where there are no more."""
    if sets is not None:
        return in_proportion_sets(labels, sets, limit, seed)
    if len(labels) <= limit:
        return np.arange(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * limit / len(labels)
    numbers = exact.astype(np.int64)
    numbers[np.argsort(numbers - exact, kind="stable")[: limit - numbers.sum()]] += 1  # the largest remainders
    random = np.random.default_rng(seed)
    rows = [random.permutation(np.flatnonzero(labels == label)) for label in classes]
    return np.sort(np.concatenate([row[:number] for row, number in zip(rows, numbers, strict=True)]))


def stratified(
    labels: np.ndarray, fraction: float, seed: int, sets: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (kept, taken), both ascending, `fraction` of each class taken at random.

    A class with two rows or more keeps at least one and, where its share is half a row or more, gives one. Rows
    without a label are kept.
    """
    if sets is not None:
        return stratified_sets(labels, sets, fraction, seed)
    random = np.random.default_rng(seed)
    taken = [np.empty(0, np.int64)]  # of a split without rows, which `checked` refuses
    for label in np.unique(labels[labels != UNLABELLED]):
        rows = random.permutation(np.flatnonzero(labels == label))
        taken.append(rows[: min(int(len(rows) * fraction + 0.5), len(rows) - 1)])
    chosen = np.sort(np.concatenate(taken))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


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
        in_both = set(_rows(splits[name])).intersection(_rows(splits["train"]))  # train, the longest, is not kept
        if shared := sum(row in in_both for row in _rows(splits[name])):
            found.append(f"{shared} of {len(splits[name].texts)} {name} rows stand in train too, word for word")
    return found


def _rows(split: Split) -> Iterable[str | tuple[str, str]]:
    return split.texts if split.pairs is None else zip(split.texts, split.pairs, strict=True)
