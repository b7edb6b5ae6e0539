"""How good a classifier is where a row may bear several labels, each of which it says from a threshold on.

The thresholds are tuned on validation and stay with the model (Lipton et al. 2014, arXiv:1402.1892, section 3).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import (
    binary_average_precision,
    binary_calibration_error,
    multilabel_f1_score,
)

from kd_lab.evaluation.counting import BINS, plain_counting
from kd_lab.serving.label_decisions import EVEN, Bits, decisions, probabilities_of

FEWEST = 10  # rows of validation that bear a label, from which it gets a threshold of its own


def evaluate(logits: Tensor, labels: Tensor, thresholds: NDArray[np.float64] | None = None) -> dict[str, float]:
    """The metrics of one split.

    Args:
        logits: (N, C) float, unnormalised.
        labels: (N, C) int64, 1 where a row bears the label, else 0.
        thresholds: (C,), probability from which a label is said; None is `EVEN` for each.

    Returns:
        `accuracy`: the fraction of rows with exactly their own labels (subset accuracy).
        `f1_micro`: F1 over all rows' labels at once. `f1_macro`: the plain mean over labels, one that is neither borne
        nor said counting 0, as in scikit-learn. `f1_weighted`: the mean weighted by the rows that bear a label.
        `mean_average_precision`: mean over labels that are borne of the area under precision and recall, 0 where none
        is; knows no threshold.
        `ece`: calibration error of all rows' labels over `BINS` bins of a label's probability.
        `nll`: mean over rows of the sum over labels of -log p, nats.
    """
    logits, labels = logits.detach().double().cpu(), labels.cpu()
    classes, probabilities = logits.shape[1], logits.sigmoid()
    said = torch.from_numpy(decisions(logits.numpy(), thresholds).astype(np.int64))
    borne = labels.any(dim=0)
    with plain_counting():
        f1 = {
            f"f1_{average}": multilabel_f1_score(said, labels, classes, average=average)
            for average in ("micro", "macro", "weighted")
        }
        found = {
            "accuracy": (said == labels).all(dim=1).double().mean(),
            **f1,
            "mean_average_precision": _mean_average_precision(probabilities[:, borne], labels[:, borne]),
            "ece": binary_calibration_error(probabilities.float().flatten(), labels.flatten(), BINS),
            "nll": F.binary_cross_entropy_with_logits(logits, labels.double(), reduction="sum") / len(logits),
        }
    return {name: float(value) for name, value in found.items()}


def _mean_average_precision(probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of columns that each bear a 1; 0 where there is none."""
    found = [binary_average_precision(*column) for column in zip(probabilities.T, labels.T, strict=True)]
    return torch.stack(found).mean() if found else torch.tensor(0.0)


def tune(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """(C,) thresholds by which F1 on these rows, which are validation's, is highest.

    A label that fewer than `FEWEST` rows bear shares the one by which F1 over all labels at once is highest: its own
    would be chance.
    """
    probabilities, borne = probabilities_of(logits), np.asarray(labels) > 0
    shared = _best(probabilities.ravel(), borne.ravel())
    columns = zip(probabilities.T, borne.T, strict=True)
    return np.array([_best(*column) if column[1].sum() >= FEWEST else shared for column in columns])


def _best(probabilities: NDArray[np.float64], borne: Bits) -> float:
    """The threshold with the highest F1, in the middle between two probabilities; the nearest to `EVEN` of equals."""
    order = np.argsort(-probabilities, kind="stable")
    sorted_, hits = probabilities[order], borne[order].cumsum()
    if not len(sorted_) or not hits[-1]:
        return EVEN
    below = np.append(sorted_[1:], 0.0)
    cut = sorted_ > below  # between equal probabilities nothing can be cut
    f1 = np.where(cut, 2 * hits / (np.arange(1, len(hits) + 1) + hits[-1]), -1.0)
    middles = (sorted_ + below) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.abs(middles[best] - EVEN).argmin()]])


def set_numbers(bits: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) a number for each row's set of labels (N, C), the same for the same set wherever it is met."""
    packed = np.packbits(np.asarray(bits) > 0, axis=1)
    distinct, place = np.unique(packed, axis=0, return_inverse=True)
    digests = [int.from_bytes(blake2b(row.tobytes(), digest_size=8).digest(), "big") >> 1 for row in distinct]
    return np.array(digests, np.int64)[place.reshape(-1)]
