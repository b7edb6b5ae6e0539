"""How far figures of rows that may bear several labels may lie from the true ones, and whether they are chance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kd_lab.evaluation.counting import CONFIDENCE
from kd_lab.serving.label_decisions import Bits


def f1_intervals(
    said: Bits, labels: NDArray[Any], *, samples: int = 1000, seed: int = 0, level: float = CONFIDENCE
) -> dict[str, list[float]]:
    """Percentile bootstrap intervals over rows (Efron, Ann. Statist. 7, 1979) of `f1_micro` and `f1_macro`."""
    borne = np.asarray(labels) > 0
    rows = len(borne)
    hits, either = (said & borne).astype(np.float64), said.astype(np.float64) + borne
    random = np.random.default_rng(seed)
    found: dict[str, list[float]] = {"f1_micro": [], "f1_macro": []}
    for _ in range(samples):
        times = random.multinomial(rows, np.full(rows, 1 / rows)).astype(np.float64)
        twice, both = 2 * (times @ hits), times @ either  # (C,): twice TP; twice TP, plus FP and FN
        found["f1_micro"].append(float(twice.sum() / max(both.sum(), 1.0)))
        found["f1_macro"].append(float(np.divide(twice, both, out=np.zeros_like(twice), where=both > 0).mean()))
    ends = [(1 - level) / 2, (1 + level) / 2]
    return {f"{name}_interval": np.quantile(values, ends).tolist() for name, values in found.items()}


def at_chance(logits: NDArray[Any], labels: NDArray[Any], *, samples: int = 99, seed: int = 0) -> bool:
    """Whether the order of rows by probability says no more of their labels than another row's would.

    By permutation: mean average precision is not above that of 95 % of `samples` pairings with shuffled rows.
    """
    borne = np.asarray(labels) > 0
    if not borne.any():
        return False
    columns = np.flatnonzero(borne.any(axis=0))
    order = np.argsort(-np.asarray(logits, np.float64)[:, columns], axis=0, kind="stable")
    random = np.random.default_rng(seed)
    own = _average_precision(order, borne[:, columns])
    others = [_average_precision(order, borne[random.permutation(len(borne))][:, columns]) for _ in range(samples)]
    return own <= float(np.quantile(others, CONFIDENCE))


def _average_precision(order: NDArray[np.int64], borne: Bits) -> float:
    found = np.take_along_axis(borne, order, axis=0)
    precision = found.cumsum(axis=0) / np.arange(1, len(found) + 1)[:, None]
    return float(((precision * found).sum(axis=0) / found.sum(axis=0)).mean())
