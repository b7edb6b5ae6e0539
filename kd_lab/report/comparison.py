"""Whether two settings differ in accuracy: tests in pairs, on the same rows and with the same seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr, stdtrit

from kd_lab.errors import UserError
from kd_lab.significance import CONFIDENCE


@dataclass(frozen=True)
class Answers:
    """What one model said about the test rows, in row order: labels (N,) int and predictions (N,) int."""

    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """How much more accurate one setting is than another on the same rows.

    Args:
        difference, low, high: of accuracies, as fractions, with the interval.
        p: probability of so large a difference, either way, between settings that are equally accurate.
        n: seeds that both have.
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
        freedom: degrees of freedom behind it.
    """

    variance: float
    freedom: int


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
    ours: Mapping[int, Answers],
    theirs: Mapping[int, Answers],
    noise: SeedNoise | None = None,
    confidence: float = CONFIDENCE,
) -> Comparison | None:
    """Tests in pairs whether two settings are equally accurate: the same rows, and each seed against itself.

    **One seed in common**: McNemar's exact test of the rows in which one model alone is right (Psychometrika 12,
    1947), with the interval of Agresti and Min (Statistics in Medicine 24, 2005). It speaks of these two models on
    other rows. It says nothing about other seeds: another pair of fits may differ the other way.

    **n > 1 seeds in common**: the difference D of correctness, 1, 0 or -1 for each seed and each of N rows. The mean
    of D has two sources of chance, and its variance is taken as the sum of

    - the row part, var over rows of (the mean of D over seeds) / N: other rows would have been drawn,
    - the seed part, var over seeds of (the mean of D over rows) / n: other fits would have come out,

    against which the mean is held with Student's t and the degrees of freedom of Welch (Biometrika 34, 1947) and
    Satterthwaite (Biometrics Bulletin 2, 1946). What a single row does with a single seed is in both parts, so the
    test errs on the side of seeing no difference. Two or three seeds often lie together by chance, and the best of
    many pairs would be such a pair; hence `noise`, below which the seeds' variance is not believed to lie.

    Args:
        ours, theirs: seed -> answers on at least two rows.
        noise: of the study's seeds; taken in place of this pair's own where it is larger.
        confidence: of the interval.

    Returns:
        the comparison, the difference being ours less theirs; None where no seed is in both.

    Raises:
        UserError: the answers are to different rows.
    """
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return None
    labels = ours[seeds[0]].labels
    said = [answers[seed] for answers in (ours, theirs) for seed in seeds]
    if not all(np.array_equal(labels, one.labels) for one in said):
        raise UserError(
            "comparison",
            expected="two models' answers to the same test rows",
            got="answers to different rows",
            cure="Compare cells of one data set and one split.",
        )
    gains = np.array(
        [(ours[s].predictions == labels).astype(np.int8) - (theirs[s].predictions == labels) for s in seeds], np.int8
    )  # (n, N): D
    n, rows = gains.shape
    if n == 1:
        return _mcnemar(int((gains > 0).sum()), int((gains < 0).sum()), rows, confidence)
    seeds_vary = SeedNoise(float(gains.mean(axis=1).var(ddof=1)), n - 1)
    if noise is not None and noise.variance > seeds_vary.variance:
        seeds_vary = noise
    row_part, seed_part = float(gains.mean(axis=0).var(ddof=1)) / rows, seeds_vary.variance / n
    difference, variance = float(gains.mean()), row_part + seed_part
    if variance == 0:  # every row fares alike with every seed
        return Comparison(difference, difference, difference, float(difference == 0), n)
    freedom = variance**2 / (row_part**2 / (rows - 1) + seed_part**2 / seeds_vary.freedom)
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * variance**0.5
    p = 2 * float(stdtr(freedom, -abs(difference) / variance**0.5))
    return Comparison(difference, difference - half, difference + half, p, n)


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


def _mcnemar(gained: int, lost: int, rows: int, confidence: float) -> Comparison:
    """From the rows in which the first model alone is right, and those in which the second is."""
    p = min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))
    more, fewer, n = gained + 0.5, lost + 0.5, rows + 2
    middle = (more - fewer) / n
    z = float(stdtrit(np.inf, (1 + confidence) / 2))
    half = z * (more + fewer - (more - fewer) ** 2 / n) ** 0.5 / n
    return Comparison((gained - lost) / rows, middle - half, middle + half, p, 1)
