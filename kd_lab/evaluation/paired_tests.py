"""Whether two settings differ in accuracy: tests in pairs, on the same rows and with the same seeds.

By hand: statsmodels, which nothing else here needs, has McNemar's p and Holm's correction, a line and four, but neither
the interval that goes with McNemar's test nor a family of which some tests were passed over; the tests over seeds and
splits it has not. The distributions are scipy's; its `binomtest` takes no pair of models that are right alike.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr, stdtrit

from kd_lab.core.errors import UserError
from kd_lab.evaluation.counting import CONFIDENCE

Key = TypeVar("Key", bound=Hashable)  # of a run


@dataclass(frozen=True)
class Predictions:
    """What one model said about the test rows, in row order.

    Args:
        labels, predictions: (N,) int, classes.
        texts: (N,) uint64, which texts the rows are, see `data.text_hashes`; None of an older kd_lab, which kept none.
        tokens: fingerprint of the tokens they were read as, which names the rows where `texts` does not.
        rows: fingerprint of texts and labels, see `predictions.TEST`; empty where it is not known.
    """

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    texts: NDArray[np.uint64] | None = None
    tokens: str = ""
    rows: str = ""

    def same_rows(self, other: Predictions) -> bool:
        """Whether both are to the same texts in the same order; equal labels are not enough.

        Two tokenizers of one text are two models of one row. Without `texts` the tokens must be the same.
        """
        if not np.array_equal(self.labels, other.labels):
            return False
        if self.rows and other.rows:
            return self.rows == other.rows
        if self.texts is None or other.texts is None:
            return self.tokens == other.tokens
        return np.array_equal(self.texts, other.texts)


@dataclass(frozen=True)
class Comparison:
    """How much more accurate one setting is than another on the same rows.

    Args:
        difference, low, high: of accuracies, as fractions, with the interval, cut off at -1 and 1, beyond which no
            difference lies: what is cut off can hold no true one.
        p: probability of so large a difference, either way, between settings that are equally accurate.
        n: runs that both have, a run being a seed and a split.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True)
class SeedNoise:
    """How seeds move the difference of two settings' accuracies, judged by all settings of a study.

    Args:
        variance: of the difference at one seed, in squared fractions.
        dof: degrees of freedom behind it.
    """

    variance: float
    dof: int


def seed_noise(accuracies: Sequence[Sequence[float]]) -> SeedNoise | None:
    """Twice the residual mean square of settings by seeds (Fisher's randomised blocks, seeds being the blocks).

    Args:
        accuracies: (K, n), one row a setting, one column a seed.

    Returns:
        the noise; None with fewer than two settings or two seeds.
    """
    found = np.asarray(accuracies, float)
    if found.ndim != 2 or min(found.shape) < 2:
        return None
    rest = found - found.mean(axis=0) - found.mean(axis=1, keepdims=True) + found.mean()
    freedom = (found.shape[0] - 1) * (found.shape[1] - 1)
    return SeedNoise(2 * float((rest**2).sum()) / freedom, freedom)


def compare(
    first: Mapping[Key, Predictions], second: Mapping[Key, Predictions], noise: SeedNoise | None = None
) -> Comparison | None:
    """Tests in pairs whether two settings are equally accurate: the same rows, and each run against itself.

    **One run in common**: McNemar's exact test of the rows in which one model alone is right (Psychometrika 12,
    1947), with the interval of Agresti and Min (Statistics in Medicine 24, 2005). It speaks of these two models on
    other rows. It says nothing about other seeds: another pair of fits may differ the other way.

    **n > 1 seeds in common, on the same N rows**: the difference D of correctness, 1, 0 or -1 for each seed and row.
    The mean of D has two sources of chance, and its variance is taken as the sum of

    - the row part, var over rows of (the mean of D over seeds) / N: other rows would have been drawn,
    - the seed part, var over seeds of (the mean of D over rows) / n: other fits would have come out,

    against which the mean is held with Student's t and the degrees of freedom of Welch (Biometrika 34, 1947) and
    Satterthwaite (Biometrics Bulletin 2, 1946). What a single row does with a single seed is in both parts, so the
    test errs on the side of seeing no difference. Two or three seeds often lie together by chance, and the best of
    many pairs would be such a pair; hence `noise`, below which the seeds' variance is not believed to lie.

    **Several splits**: see `_over_splits`.

    Args:
        first, second: run -> answers on at least two rows.
        noise: of the study's runs; taken in place of this pair's own where it is larger.

    Returns:
        the comparison, the difference being first less second; None where no run is in both.

    Raises:
        UserError: the answers to one run are to different rows, or do not say to which.
    """
    runs = sorted(set(first) & set(second), key=str)
    if not runs:
        return None
    if not all(first[run].same_rows(second[run]) for run in runs):
        raise _other_rows("answers to different texts, or with different labels")
    splits: list[list[Key]] = []
    for run in runs:
        known = next((split for split in splits if first[split[0]].same_rows(first[run])), None)
        splits.append([run]) if known is None else known.append(run)
    gains = [_gains([(first[run], second[run]) for run in split]) for split in splits]
    if len(splits) > 1:
        shared = _shared([first[split[0]] for split in splits])
        return _over_splits(gains, shared, noise)
    n, rows = gains[0].shape
    if n == 1:
        return _mcnemar(int((gains[0] > 0).sum()), int((gains[0] < 0).sum()), rows)
    seeds_vary = SeedNoise(float(gains[0].mean(axis=1).var(ddof=1)), n - 1)
    if noise is not None and noise.variance > seeds_vary.variance:
        seeds_vary = noise
    row_part, seed_part = float(gains[0].mean(axis=0).var(ddof=1)) / rows, seeds_vary.variance / n
    difference, variance = float(gains[0].mean()), row_part + seed_part
    if variance == 0:  # every row fares alike with every seed
        return Comparison(difference, difference, difference, float(difference == 0), n)
    freedom = variance**2 / (row_part**2 / (rows - 1) + seed_part**2 / seeds_vary.dof)
    return _held(difference, variance, freedom, n)


def _over_splits(gains: Sequence[NDArray[np.int8]], shared: float, noise: SeedNoise | None) -> Comparison:
    """The corrected resampled t-test over J splits (Nadeau and Bengio, Machine Learning 52, 2003).

    The differences on splits of one data set hang together, since their rows overlap. Their variance over splits, S^2,
    therefore counts (1/J + s/(1 - s)) times, s being the share of the rows that is tested, here the share of test rows
    that two splits share, which is its expectation. S^2 is not believed to lie below what the rows of one split make
    of it, nor below `noise`: two splits often lie together by chance.

    Args:
        gains: of each split (n, N) D, see `compare`.
        shared: s, as a fraction.
    """
    each = np.array([one.mean() for one in gains])
    runs, rows = sum(len(one) for one in gains), sum(one.shape[1] for one in gains)
    by_rows = float(np.mean([one.mean(axis=0).var(ddof=1) / one.shape[1] for one in gains]))
    found = [SeedNoise(float(each.var(ddof=1)), len(each) - 1), SeedNoise(by_rows, rows - len(gains))]
    if noise is not None:
        found.append(SeedNoise(noise.variance * len(gains) / runs, noise.dof))
    largest = max(found, key=lambda one: one.variance)
    difference = float(each.mean())
    if largest.variance == 0:
        return Comparison(difference, difference, difference, float(difference == 0), runs)
    variance = largest.variance * (1 / len(gains) + shared / (1 - shared))
    return _held(difference, variance, largest.dof, runs)


def _shared(splits: Sequence[Predictions]) -> float:
    """Mean share of test rows that two splits share, below 1."""
    texts = [one.texts for one in splits]
    known = [one for one in texts if one is not None]
    if len(known) < len(texts):
        raise _other_rows("several splits of an older kd_lab, which did not keep which texts their rows are")
    found = [
        len(np.intersect1d(one, other)) / max(1, min(len(np.unique(one)), len(np.unique(other))))
        for one, other in combinations(known, 2)
    ]
    return min(0.99, float(np.mean(found)))


def _gains(pairs: Sequence[tuple[Predictions, Predictions]]) -> NDArray[np.int8]:
    """(n, N): in which rows the first model alone is right, 1, and the second alone, -1."""
    return np.array(
        [(a.predictions == a.labels).astype(np.int8) - (b.predictions == b.labels) for a, b in pairs], np.int8
    )


def _held(difference: float, variance: float, freedom: float, n: int) -> Comparison:
    """A mean difference held against its variance by Student's t."""
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * variance**0.5
    p = 2 * float(stdtr(freedom, -abs(difference) / variance**0.5))
    return Comparison(difference, max(-1.0, difference - half), min(1.0, difference + half), p, n)


def _other_rows(got: str) -> UserError:
    return UserError(
        "comparison",
        expected="two models' answers to the same test rows",
        got=got,
        cure="Compare cells of one data set and one split; run old ones again.",
    )


def holm(p: Sequence[float], tests: int | None = None) -> list[float]:
    """p values corrected for having made many tests (Holm, Scand. J. Statist. 6, 1979), in the order given.

    Naming those below 0.05 names a false difference in at most 5 % of such families, however the tests hang together.

    Args:
        p: of the tests at hand.
        tests: size of the family, where some of its tests were passed over because they cannot matter.
    """
    order, found = np.argsort(p), np.asarray(p, float)
    steps = found[order] * ((len(p) if tests is None else tests) - np.arange(len(p)))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]


def _mcnemar(gained: int, lost: int, rows: int) -> Comparison:
    """From the rows in which the first model alone is right, and those in which the second is."""
    p = min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
    more, fewer, n = gained + 0.5, lost + 0.5, rows + 2
    middle = (more - fewer) / n
    z = float(stdtrit(np.inf, (1 + CONFIDENCE) / 2))
    half = z * (more + fewer - (more - fewer) ** 2 / n) ** 0.5 / n
    return Comparison((gained - lost) / rows, max(-1.0, middle - half), min(1.0, middle + half), p, 1)
