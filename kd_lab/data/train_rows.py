"""Which rows of train are learned from with their label, and what is made out of those."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.dataset import Split, SplitPlan, classes_of


class Source(Protocol):
    """The options that it asks of a data set."""

    @property
    def labelled(self) -> int | None:
        """Rows of train that keep their label, each class in proportion; None keeps all."""

    @property
    def split(self) -> SplitPlan:
        """Its seed says which rows."""

    @property
    def augmentation(self) -> Augmentation | None:
        """Of the rows that keep their label."""


def prepared(source: Source, train: Split, sets: np.ndarray | None = None) -> tuple[Split, tuple[str, ...]]:
    """The rows of train, those below them that are made out of labelled ones, and a line that counts these.

    Args:
        sets: `Texts.label_sets`.

    Raises:
        UserError: `labelled` leaves a class without a row, or a checkpoint is not to be had.
    """
    if source.labelled is not None:
        train = _few(train, source.labelled, source.split.seed, sets)
    return (train, ()) if source.augmentation is None else source.augmentation.rows(train)


def fingerprint_parts(source: Source) -> dict[str, Any]:
    """What a data set's name says of it; nothing of what is not given, so that no older name changes."""
    few, made = {} if source.labelled is None else {"labelled": source.labelled}, source.augmentation
    return few | ({} if made is None or not made.factor else {"augmentation": made})


def _few(train: Split, limit: int, seed: int, sets: np.ndarray | None) -> Split:
    few = train.with_labels(limit, seed, sets)
    whole = len(classes_of(train, sets))
    if lost := whole - len(classes_of(few, sets)):
        raise UserError(
            "dataset.labelled",
            expected="so many rows that every class keeps one",
            got=f"{limit}, which leave {lost} of {whole} classes without",
            cure="Give more; dataset.labelled=null keeps the label of every row.",
        )
    return few
