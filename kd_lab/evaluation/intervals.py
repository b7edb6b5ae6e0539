"""How far a measured number may lie from the true one, given that the test rows and the seeds are samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import expit, logit, stdtrit
from scipy.stats import binomtest

from kd_lab.evaluation.counting import CONFIDENCE, bootstrap

Bounds = tuple[float, float]  # between which the true number lies; the upper may be infinite
RATE: Bounds = (0.0, 1.0)
SIGNED: Bounds = (-1.0, 1.0)  # a correlation, or a difference of two rates
POSITIVE: Bounds = (0.0, math.inf)


@dataclass(frozen=True)
class Spread:
    """A number over the seeds of a setting.

    Args:
        mean: in the number's own unit, as are all but `n`.
        sd: standard deviation (n - 1); with `low` and `high` None where there is one seed.
        low, high: interval of the mean over seeds by Student's t, see `t_interval`, on these rows. What other rows
            would say is not in it. Of two seeds it is wide: their distance says little of how far others would lie.
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


def f1_macro_interval(
    predictions: ArrayLike, labels: ArrayLike, classes: int, *, samples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of macro-F1 over labels' and predictions' classes, see `bootstrap`.

    F1 needs no more than the counts of the distinct (label, prediction) pairs.

    Args:
        predictions, labels: (N,) int, classes.
        classes: C.
        samples: how often to draw.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        (low, high) as fractions.
    """
    pairs, counts = np.unique(
        np.asarray(labels, int) * classes + np.asarray(predictions, int), return_counts=True
    )  # (K,)
    label, prediction = np.divmod(pairs, classes)
    ones, place = np.ones(len(pairs)), np.arange(len(pairs))
    by_label = csr_array((ones, (place, label)), shape=(len(pairs), classes))
    by_prediction = csr_array((ones, (place, prediction)), shape=(len(pairs), classes))
    hits = csr_array(((label == prediction).astype(float), (place, label)), shape=(len(pairs), classes))

    def score(drawn: np.ndarray) -> np.ndarray:  # (samples, K)
        either = drawn @ by_label + drawn @ by_prediction  # (samples, C): twice TP, plus FP and FN
        f1 = np.divide(2 * (drawn @ hits), either, out=np.zeros_like(either), where=either > 0)
        mean: np.ndarray = f1.sum(axis=1) / (either > 0).sum(axis=1)
        return mean

    return bootstrap(counts, score, samples, seed)


def over_seeds(values: Sequence[float], bounds: Bounds | None = None, confidence: float = CONFIDENCE) -> Spread:
    """Mean and spread of one number a seed.

    Args:
        values: (n,), in the number's own unit.
        bounds: of the number, which its interval then keeps within; None where it has none.
        confidence: of the interval.

    Raises:
        ValueError: there is no number.
    """
    if not values:
        raise ValueError("no seed has this number")
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Spread(mean, None, None, None, 1)
    sd = float(np.std(values, ddof=1))
    return Spread(mean, sd, *t_interval(mean, sd / n**0.5, n - 1, bounds, confidence), n)


def t_interval(
    mean: float, error: float, dof: float, bounds: Bounds | None = None, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Student's t interval of a mean, inside the bounds of the number.

    Of a number without bounds it is mean ± t error. With two seeds t is 12.7, which put the accuracy of 0.667 and
    0.458 between -0.76 and 1.89. A number with bounds is therefore taken to a scale without them, the logit between two
    bounds and the logarithm above one, where the interval is worked out and taken back; the error follows by the delta
    method (Newcombe, The American Statistician 55, 2001, on the logit of a rate). A mean nearer to a bound than
    its error is taken to lie at that distance, or the logit of 1 would be infinite; the interval always holds the mean.
    Of 40,000 samples of 2 to 10 beta-distributed rates with means from 0.5 to 0.99 such an interval covered the true
    one in 93.7 to 95.4 %, mean ± t error in 88.8 to 95.0 %. Narrow intervals are the same either way.

    Args:
        mean, error: of the mean and its standard error.
        dof: degrees of freedom, may be infinite.
        bounds: (low, high); None, RATE, SIGNED, POSITIVE.
        confidence: probability that such an interval covers the true mean.

    Returns:
        (low, high) in the unit of the mean.
    """
    half = float(stdtrit(dof, (1 + confidence) / 2)) * error
    if bounds is None or error == 0 or not bounds[0] <= mean <= bounds[1]:
        return mean - half, mean + half
    floor, width = bounds[0], bounds[1] - bounds[0]
    if math.isinf(width):
        factor = math.exp(half / max(mean - floor, error))
        return floor + (mean - floor) / factor, floor + (mean - floor) * factor
    nearest = min(error / width, 0.5)
    rate = min(max((mean - floor) / width, nearest), 1 - nearest)
    half /= width * rate * (1 - rate)
    low, high = (floor + width * float(expit(logit(rate) + step)) for step in (-half, half))
    return min(low, mean), max(high, mean)
