"""Draws rows of every class equally often, however many of them there are."""

from __future__ import annotations

import numpy as np

from kd_lab.data.dataset import UNLABELLED


def balanced_rows(labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """As many places of rows as there are, ascending, each class with labels in it as often as another, give or take 1.

    Within a class rows come equally often too, give or take 1: those of a rare class again and again, of a frequent one
    a part, another in each draw. Rows without a label (-1) come once each, which is their natural share.

    Args:
        labels: (N,) int64.
        draw: decides which rows, and which classes have one more.

    Returns:
        (N,) int64, places in `labels`.
    """
    labelled = np.flatnonzero(labels != UNLABELLED)
    classes = np.unique(labels[labelled])
    if not len(classes):
        return np.arange(len(labels))
    each, over = divmod(len(labelled), len(classes))
    quotas = np.full(len(classes), each)
    quotas[draw.permutation(len(classes))[:over]] += 1
    drawn = [np.flatnonzero(labels == UNLABELLED)]
    for label, quota in zip(classes, quotas, strict=True):
        rows = labelled[labels[labelled] == label]
        whole, rest = divmod(int(quota), len(rows))
        drawn += [np.tile(rows, whole), draw.permutation(rows)[:rest]]
    return np.sort(np.concatenate(drawn))


def class_counts(labels: np.ndarray, classes: int) -> np.ndarray:
    """(C,) int64, rows of each class; those without a label are left out."""
    return np.bincount(labels[labels != UNLABELLED], minlength=classes)
