"""Whether a number of ours is a published one within a tolerance: two one-sided tests.

By hand: statsmodels' tests of equivalence take samples of independent numbers, where a mean over runs has two sources
of chance, and a rate has bounds. The tests are an interval and two comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_lab.evaluation.counting import CONFIDENCE
from kd_lab.evaluation.intervals import Bounds, Spread, t_interval

REPRODUCED, BETTER, WORSE, INCONCLUSIVE = "reproduced", "better than published", "worse", "inconclusive"
LEVEL = 0.05  # of each of the two tests
_ROUNDING = 1e-9  # of sums of fractions, as a share of the published figure


@dataclass(frozen=True)
class Estimate:
    """A number of ours with what is known of its chance.

    Args:
        mean: over n runs.
        sd: standard deviation (n - 1); None of one run.
        n: runs.
        error: standard error of the mean; 0 of an exact number, such as one of parameters; None where it is not known.
        freedom: degrees of freedom behind the error.
        bounds: between which such a number lies.
    """

    mean: float
    sd: float | None
    n: int
    error: float | None
    freedom: float
    bounds: Bounds | None

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """(low, high) in the unit of the mean; None where the error is not known."""
        if self.error is None:
            return None
        return t_interval(self.mean, self.error, self.freedom, self.bounds, confidence)

    def spread(self) -> Spread:
        """Mean, standard deviation and 95 % interval; an exact number and an unknown error have none."""
        low, high = (self.interval(CONFIDENCE) if self.error else None) or (None, None)
        return Spread(self.mean, self.sd, low, high, self.n)


def estimate(values: Sequence[float], row_error: float | None, bounds: Bounds | None) -> Estimate:
    """A mean over runs, and both sources of its chance: other runs, and other rows to be judged on.

    The variances add up: that of the mean over runs, var / n, and that by the rows, which the runs share, so that it
    does not shrink with n. The degrees of freedom are those of Welch and Satterthwaite, with infinitely many behind the
    rows' part. Of a single run the rows' part stands alone: it speaks of this model on other rows, and is silent about
    other seeds.

    Args:
        values: (n,), one a run.
        row_error: standard error that the test rows leave in each; 0 where they have no part; None where not known.
        bounds: of the number.
    """
    mean, n = float(np.mean(values)), len(values)
    by_runs = 0.0 if n == 1 else float(np.var(values, ddof=1)) / n
    sd = None if n == 1 else math.sqrt(by_runs * n)
    if row_error is None:
        return Estimate(mean, sd, n, None, math.inf, bounds)
    variance = by_runs + row_error**2
    freedom = math.inf if by_runs == 0 else (n - 1) * (variance / by_runs) ** 2
    return Estimate(mean, sd, n, math.sqrt(variance), freedom, bounds)


def verdict(ours: Estimate, published: float, tolerance: float, higher_is_better: bool) -> str:
    """How ours stands to a published figure, by intervals of 1 - 2 x `LEVEL` = 90 %.

    - `REPRODUCED`: the interval lies within published ± tolerance. That is two one-sided tests, each at 5 %, of ours
      lying beyond either end (Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987; Lakens, Social Psychological and
      Personality Science 8, 2017). Few runs and few rows make the interval wide and this harder, not easier.
    - `BETTER`: it does not, and lies wholly on the better side of the published figure.
    - `WORSE`: it lies wholly beyond the tolerance on the worse side.
    - `INCONCLUSIVE`: none of these; the data are too few to say.

    Args:
        ours: with its error.
        published, tolerance: in the unit of ours.
        higher_is_better: which side is the better.
    """
    interval = ours.interval(1 - 2 * LEVEL)
    if interval is None:
        return INCONCLUSIVE
    low, high = interval
    slack = _ROUNDING * abs(published)
    if published - tolerance - slack <= low and high <= published + tolerance + slack:
        return REPRODUCED
    if low > published if higher_is_better else high < published:
        return BETTER
    if high < published - tolerance if higher_is_better else low > published + tolerance:
        return WORSE
    return INCONCLUSIVE
