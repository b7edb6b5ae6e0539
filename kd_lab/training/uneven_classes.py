"""What is said before a fit on uneven classes that is steered by accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kd_lab.data.balanced_rows import class_counts
from kd_lab.evaluation.balanced_accuracy import UNEVEN, class_ratio
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.loss import Loss
from kd_lab.training.settings import Trainer


def uneven_classes_hint(labels: np.ndarray, classes: Sequence[str], trainer: Trainer, loss: Loss) -> str | None:
    """A line with the options that are there, as they are typed; None where there is nothing to say.

    It is said where the largest class has more than `UNEVEN` times the rows of the smallest and `trainer.monitor` is
    accuracy: then the epoch is chosen, and the loss weighed, by the large classes. A hint, and no warning: what a user
    wants of uneven classes may well be accuracy.

    Args:
        labels: (N,) int64, of train; -1 where there is none.
        classes: names of the C classes.
        trainer, loss: of the fit.
    """
    counts = class_counts(labels, len(classes))
    if trainer.monitor != "accuracy" or not trainer.max_epochs or class_ratio(counts) <= UNEVEN:
        return None
    most, least = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    options = ["trainer.monitor=f1_macro"]
    if trainer.sampling == "shuffle" and (weights := class_weights(loss)):
        options.append(weights)
    if trainer.sampling == "shuffle" and not _weighed(loss):
        options.append("trainer.sampling=balanced")
    there = " and ".join([*filter(None, [", ".join(options[:-1])]), options[-1]])
    return (
        f"classes are uneven, {classes[most]!r} {counts[most]:,} rows of train, {classes[least]!r} {counts[least]:,}: "
        f"where all matter alike, {there} {'is' if len(options) == 1 else 'are'} there"
    )


def class_weights(loss: Loss) -> str | None:
    """What weighs the classes in this loss, as it is typed; None where it is weighed already or cannot be."""
    if _weighed(loss) or not loss.weights.get("cross_entropy"):
        return None
    return f"loss.{'' if isinstance(loss, Hybrid) else 'terms.cross_entropy.'}class_weights=balanced"


def _weighed(loss: Loss) -> bool:
    return any(getattr(term, "class_weights", None) for term in loss.terms.values())
