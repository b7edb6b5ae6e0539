"""What answers are worth as logits: votes count as far as they have been right where gold labels are known."""

from __future__ import annotations

import numpy as np

from kd_lab.data.dataset import UNLABELLED
from kd_lab.training.answers_file import Answers

_UNMEASURED = 0.9  # confidence in a label where nothing says how often it is right
_SUREST = 0.99


def agreement_of(answers: Answers, rows: np.ndarray, labels: np.ndarray) -> tuple[float, float | None]:
    """How often an answer is the gold label, drawn towards a half by one row of each kind; and as it is, if known.

    Where a row may bear several: how often it is right of a label, and of all labels of a row.
    """
    multi_label = labels.ndim == 2
    both = (rows >= 0) & ((labels[:, 0] if multi_label else labels) != UNLABELLED)
    if not both.any():
        return _UNMEASURED, None
    if multi_label:
        same = (answers.scores[rows[both]] > (0.5 if answers.votes else 0.0)) == (labels[both] > 0)
        sure = (int(same.sum()) + 1) / (same.size + 2)
        return float(np.clip(sure, 0.5, _SUREST)), float(same.all(axis=1).mean())
    right = int((answers.scores[rows[both]].argmax(axis=1) == labels[both]).sum())
    lowest = 1 / answers.scores.shape[1]
    return float(np.clip((right + 1) / (both.sum() + 2), lowest, _SUREST)), right / int(both.sum())


def vote_logits(answers: Answers, sure: float, multi_label: bool) -> np.ndarray:
    """(M, C) float32, a row an answer; a vote counts for its class as far as one is sure, the rest for the others.

    Where a row may bear several labels, for each label, or against it, by itself.
    """
    scores = answers.scores
    if answers.votes:
        share = np.full(len(scores), sure) if answers.confidence is None else answers.confidence.astype(np.float64)
        lowest = 0.5 if multi_label else 1 / scores.shape[1]
        share = share.clip(lowest, _SUREST)[:, None]
        if multi_label:
            odds = share * scores + (1 - share) * (1 - scores)
            odds = odds / (1 - odds)
        else:
            odds = share * scores + (1 - share) * (1 - scores) / (scores.shape[1] - 1)
        scores = np.log(odds).astype(np.float32)
    return scores


def of_rows(logits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, C) float32, those of the answers with these numbers; NaN where there is none."""
    found: np.ndarray = logits[rows.clip(min=0)]
    found[rows < 0] = np.nan
    return found
