"""How far a measured number may lie from the true one, given that the test rows and the seeds are samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.special import stdtrit
from scipy.stats import binomtest

CONFIDENCE = 0.95
_CELLS = 2_000_000  # counts held at a time, 16 MB


@dataclass(frozen=True)
class Spread:
    """A number over the seeds of a setting.

    Args:
        mean: in the number's own unit, as are all but `n`.
        sd: standard deviation (n - 1); with `low` and `high` None where there is one seed.
        low, high: Student's t interval of the mean over seeds, on these rows. What other rows would say is not in it.
        n: seeds.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a rate, e.g. an accuracy (J. Amer. Statist. Assoc. 22, 1927).

    Args:
        successes: how many rows were right.
        n: how many there were.
        confidence: probability that such an interval covers the true rate.

    Returns:
        (low, high) as fractions.
    """
    interval = binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    n: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Percentile bootstrap interval of any number worked out from rows (Efron, Ann. Statist. 7, 1979).

    For macro-F1 use `f1_macro_interval`, which gives the same a hundred times faster. Hand the differences of two
    models on the same rows to `statistic` to compare the models in pairs.

    Args:
        statistic: gets (n,) row numbers drawn with replacement, and gives the number for these rows.
        n: how many rows there are.
        samples: how often to draw.
        seed: of the draws; the same seed gives the same interval.
        confidence: share of the drawn numbers inside the interval.

    Returns:
        (low, high) in the unit of `statistic`.
    """
    draw = np.random.default_rng(seed)
    return _percentiles(np.array([statistic(draw.integers(0, n, n)) for _ in range(samples)]), confidence)


def f1_macro_interval(
    predictions: ArrayLike,
    labels: ArrayLike,
    classes: int,
    *,
    samples: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Percentile bootstrap interval of macro-F1 over classes that occur among labels or predictions.

    Drawing n rows with replacement gives multinomial counts of the distinct (label, prediction) pairs, and F1 needs
    no more than these counts; so the counts are drawn and no row is touched.

    Args:
        predictions, labels: (N,) int, classes.
        classes: C.
        samples, seed, confidence: as in `bootstrap`.

    Returns:
        (low, high) as fractions.
    """
    pairs, counts = np.unique(
        np.asarray(labels, int) * classes + np.asarray(predictions, int), return_counts=True
    )  # (K,)
    label, prediction = np.divmod(pairs, classes)
    n, ones, place = int(counts.sum()), np.ones(len(pairs)), np.arange(len(pairs))
    by_label = csr_array((ones, (place, label)), shape=(len(pairs), classes))
    by_prediction = csr_array((ones, (place, prediction)), shape=(len(pairs), classes))
    hits = csr_array(((label == prediction).astype(float), (place, label)), shape=(len(pairs), classes))
    draw, scores = np.random.default_rng(seed), []
    step = max(1, _CELLS // len(pairs))
    for start in range(0, samples, step):
        drawn = draw.multinomial(n, counts / n, size=min(step, samples - start)).astype(float)  # (samples, K)
        either = drawn @ by_label + drawn @ by_prediction  # (samples, C): twice TP, plus FP and FN
        scores.append(np.divide(2 * (drawn @ hits), either, out=np.zeros_like(either), where=either > 0).sum(axis=1))
        scores[-1] /= (either > 0).sum(axis=1)
    return _percentiles(np.concatenate(scores), confidence)


def over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> Spread:
    """Mean and spread of one number a seed.

    Raises:
        ValueError: there is no number.
    """
    if not values:
        raise ValueError("no seed has this number")
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Spread(mean, None, None, None, 1)
    sd = float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd / n**0.5
    return Spread(mean, sd, mean - half, mean + half, n)


def _percentiles(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
