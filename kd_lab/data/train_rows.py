"""Which rows of train are learned from with their label, what is made out of those, and what is added to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.data import transfer_file
from kd_lab.data.dataset import Split, classes_of
from kd_lab.data.unlabelled import JUDGED


def prepared(
    dataset: Any, splits: Mapping[str, Split], sets: np.ndarray | None = None
) -> tuple[Split, tuple[str, ...]]:
    """The rows of train, below them those made out of labelled ones and those of `transfer_path`, and what to tell.

    Args:
        dataset: its options `labelled`, `split`, `augmentation`, and those of text without labels where it takes some.
        splits: all three.
        sets: `Texts.label_sets`.

    Raises:
        UserError: `labelled` leaves a class without a row, a checkpoint is not to be had, or a file cannot be read.
    """
    train = splits["train"]
    if dataset.labelled is not None:
        train = _few(train, dataset.labelled, dataset.split.seed, sets)
    train, told = (train, ()) if dataset.augmentation is None else dataset.augmentation.rows(train)
    if getattr(dataset, "transfer_path", None) is not None:  # docstrings take none
        columns = (dataset.text_column, dataset.pair_column, getattr(dataset, "encoding", "utf-8"))
        judged = [splits[name] for name in JUDGED]
        given = transfer_file.options(dataset)
        train = transfer_file.with_transfer(train, dataset.transfer_path, *columns, judged=judged, **given)
    return train, told


def fingerprint_parts(dataset: Any) -> dict[str, Any]:
    """What a data set's name says of it; nothing of what is not given, so that a new option renames nothing."""
    parts: dict[str, Any] = {} if dataset.labelled is None else {"labelled": dataset.labelled}
    if dataset.augmentation is not None and dataset.augmentation.factor:
        parts["augmentation"] = dataset.augmentation
    if getattr(dataset, "transfer_path", None) is not None:
        found = transfer_file.identity(transfer_file.files(dataset.transfer_path))
        parts["transfer"] = {"files": found, **transfer_file.options(dataset)}
    return parts


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
