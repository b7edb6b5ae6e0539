"""How well texts of no class are told from the others, whatever probability one asks of them."""

from __future__ import annotations

import torch
from torch import Tensor

from kd_lab.evaluation import intervals

LEVELS = (0.85, 0.9, 0.95)  # accuracies in scope at which recall is told


def evaluate(logits: Tensor, labels: Tensor, out_of_scope: int) -> dict[str, float | list[float]]:
    """Beside what the classifier answers: what it would at other thresholds of `out_of_scope`'s probability.

    A text is answered `out_of_scope` where that is more probable than a threshold, else its most probable other class.

    Args:
        logits: (N, C).
        labels: (N,) int64.
        out_of_scope: the class that stands for "out of scope".

    Returns:
        `auroc_out_of_scope`, the chance that a text out of scope is given more of that probability than one in scope
        (ties count a half); and for each of `LEVELS` that a threshold reaches `recall_out_of_scope_at_90`, the most
        recall out of scope at 90 % accuracy in scope, with its 95 % interval. The threshold is that split's own: to
        hold models against each other at one accuracy in scope, not to promise it. None of it where the rows are all of
        one side.
    """
    outside = labels == out_of_scope
    if outside.all() or not outside.any():
        return {}
    probability = logits.double().softmax(dim=1)[:, out_of_scope]
    inside = logits.clone()
    inside[:, out_of_scope] = -torch.inf
    right = (inside.argmax(1) == labels)[~outside]
    found: dict[str, float | list[float]] = {"auroc_out_of_scope": _auroc(probability[outside], probability[~outside])}
    kept, asked = probability[~outside].sort()
    accuracy = right[asked].cumsum(0).double() / len(right)  # of texts up to each threshold that stay in scope
    last = torch.cat([kept[1:] > kept[:-1], torch.ones(1, dtype=torch.bool)])  # equal probabilities stay together
    for level in LEVELS:
        if reached := (last & (accuracy >= level)).nonzero().squeeze(1).tolist():
            hits = int((probability[outside] > kept[reached[0]]).sum())
            name, rows = f"recall_out_of_scope_at_{round(100 * level)}", int(outside.sum())
            found |= {name: hits / rows, f"{name}_interval": list(intervals.wilson(hits, rows))}
    return found


def _auroc(positive: Tensor, negative: Tensor) -> float:
    """The share of pairs in which the positive one is higher (Mann and Whitney 1947)."""
    below = torch.searchsorted(negative.sort().values, positive, right=False)
    up_to = torch.searchsorted(negative.sort().values, positive, right=True)
    return float((below + up_to).double().mean() / (2 * len(negative)))
