"""How good a classifier is on labelled rows, and how true to its teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_f1_score,
    multiclass_matthews_corrcoef,
)

from kd_lab.core.errors import FitError, UserError
from kd_lab.evaluation import multi_label
from kd_lab.evaluation.balanced_accuracy import balanced_accuracy
from kd_lab.evaluation.counting import BINS, plain_counting


def evaluate(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """The metrics of one split.

    Args:
        logits: (N, C) float, unnormalised.
        labels: (N,) int64, all of them gold classes; (N, C) where a row may bear several, see `multi_label.evaluate`.

    Returns:
        `accuracy`: the fraction of rows whose largest logit is at the label.
        `balanced_accuracy`: the plain mean of recall over classes that occur among the labels, as in scikit-learn.
        `f1_macro`: the plain mean of F1 over classes that occur among labels or predictions, as in scikit-learn.
        `f1_weighted`: the mean over classes weighted by their number of labels.
        `mcc`: Matthews' correlation in [-1, 1]; 0 where all labels or all predictions are one class, as in
        scikit-learn (torchmetrics alone gives other values there).
        `ece`: expected calibration error over `BINS` bins; a confidence of exactly 1 falls into the last bin.
        `nll`: mean negative log-likelihood, nats.

    Raises:
        UserError: there are no rows, or a row has no label.
        FitError: a logit is not a finite number.
    """
    _refuse(logits, labels)
    if labels.ndim == 2:
        return multi_label.evaluate(logits, labels)
    logits, labels = logits.detach().double().cpu(), labels.cpu()
    classes, predictions = logits.shape[1], logits.argmax(dim=1)
    below_one = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0))  # 1.0 itself would open a bin of its own
    probabilities = logits.softmax(dim=1).float().clamp(max=below_one)
    collapsed = bool((predictions == predictions[0]).all() or (labels == labels[0]).all())
    with plain_counting():
        found = {
            "accuracy": multiclass_accuracy(predictions, labels, classes, average="micro"),
            "balanced_accuracy": balanced_accuracy(predictions, labels),
            "f1_macro": multiclass_f1_score(predictions, labels, classes, average="macro"),
            "f1_weighted": multiclass_f1_score(predictions, labels, classes, average="weighted"),
            "mcc": 0.0 if collapsed else multiclass_matthews_corrcoef(predictions, labels, classes),
            "ece": multiclass_calibration_error(probabilities, labels, classes, n_bins=BINS, norm="l1"),
            "nll": F.cross_entropy(logits, labels),
        }
    return {name: float(value) for name, value in found.items()}


def scope_counts(predictions: Tensor, labels: Tensor, out_of_scope: int) -> dict[str, tuple[int, int]]:
    """How well questions that a classifier was made for are told from all others.

    The two metrics of Larson et al. 2019 (arXiv:1909.02027, section 3), as counts.

    Args:
        predictions, labels: (N,) int64, classes.
        out_of_scope: the class that stands for "out of scope".

    Returns:
        `accuracy_in_scope` -> (rows of the other classes answered right, rows of the other classes),
        `recall_out_of_scope` -> (rows of `out_of_scope` answered `out_of_scope`, rows of `out_of_scope`); without a
        metric that has no rows.
    """
    right, outside = predictions == labels, labels == out_of_scope
    sides = {"accuracy_in_scope": ~outside, "recall_out_of_scope": outside}
    return {name: (int(right[side].sum()), int(side.sum())) for name, side in sides.items() if side.any()}


def _refuse(logits: Tensor, labels: Tensor) -> None:
    if logits.shape[0] != labels.shape[0]:
        raise ValueError(f"{logits.shape[0]} rows of logits, {labels.shape[0]} labels")
    if labels.numel() == 0:
        raise UserError("rows to evaluate", expected="at least one", got="none", cure="Choose a split with rows.")
    unlabelled = int((labels < 0).reshape(len(labels), -1).any(dim=1).sum())
    if unlabelled:
        raise UserError(
            "rows to evaluate",
            expected="a label for each",
            got=f"{unlabelled} of {len(labels)} without",
            cure="Evaluate a labelled split.",
        )
    refuse_broken(logits)


def refuse_broken(logits: Tensor) -> None:
    """Refuses logits (N, C) that are not all numbers.

    Raises:
        FitError: with how many rows.
    """
    broken = int((~logits.isfinite()).any(dim=1).sum())
    if broken:
        raise FitError(f"{broken} of {len(logits)} rows have logits that are not finite numbers: the fit went astray")
