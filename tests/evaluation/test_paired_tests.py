from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, t

from kd_lab.core.errors import UserError
from kd_lab.evaluation.paired_tests import Predictions, SeedNoise, compare, holm, seed_noise

ROWS = 400
GOLD = np.zeros(ROWS, np.int64)


def right(mask: np.ndarray) -> Predictions:
    return Predictions(GOLD[: len(mask)], np.where(mask, 0, 1))


def pair(gained: int, lost: int, rows: int = ROWS) -> tuple[Predictions, Predictions]:
    """Answers of two models, of which the first alone is right in `gained` rows and the second in `lost`."""
    place = np.arange(rows)
    return right(place >= lost), right((place < lost) | (place >= lost + gained))


@pytest.mark.parametrize(("gained", "lost"), [(15, 5), (5, 15), (1, 0), (30, 30), (0, 0)])
def test_with_one_seed_it_is_mcnemars_exact_test(gained: int, lost: int) -> None:
    ours, theirs = pair(gained, lost)
    found = compare({7: ours, 8: theirs}, {7: theirs, 9: ours})
    assert found.p == pytest.approx(binomtest(gained, gained + lost).pvalue if gained + lost else 1.0)
    assert found.difference == pytest.approx((gained - lost) / ROWS)
    assert found.low < found.difference < found.high
    assert found.n == 1


def test_the_interval_of_one_seed_is_that_of_agresti_and_min() -> None:
    found = compare(*({0: one} for one in pair(10, 2, rows=98)))
    middle, half = 8 / 100, 1.959964 * np.sqrt(13 - 8**2 / 100) / 100  # 10.5 and 2.5 of 100 rows
    assert (found.low, found.high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_with_seeds_the_variances_of_rows_and_of_seeds_add_up() -> None:
    ours = {0: right(np.array([1, 1, 1, 0])), 1: right(np.array([1, 1, 0, 0]))}
    theirs = {0: right(np.array([0, 1, 0, 0])), 1: right(np.array([0, 1, 0, 0]))}
    # D is 1 0 1 0 and 1 0 0 0: over seeds 1 0 0.5 0, over rows 0.5 and 0.25.
    row_part, seed_part = (0.625**2 + 0.375**2 + 0.125**2 + 0.375**2) / 3 / 4, (2 * 0.125**2) / 2
    variance = row_part + seed_part
    freedom = variance**2 / (row_part**2 / 3 + seed_part**2)
    found = compare(ours, theirs)
    half = t.ppf(0.975, freedom) * np.sqrt(variance)
    assert found.difference == 0.375
    assert found.p == pytest.approx(2 * t.sf(0.375 / np.sqrt(variance), freedom))
    assert (found.low, found.high) == pytest.approx((0.375 - half, 1.0))  # 1.13 is no difference of two rates
    assert found.n == 2


def test_seeds_that_lie_together_by_chance_are_held_to_the_noise_of_the_study() -> None:
    draw = np.random.default_rng(0)
    ours, theirs = ({seed: right(draw.random(ROWS) < rate) for seed in range(3)} for rate in (0.85, 0.7))
    alone, held = compare(ours, theirs), compare(ours, theirs, SeedNoise(0.2**2, 10))
    assert alone.p < 0.01 < held.p
    assert held.low < alone.low < alone.high < held.high
    assert compare(ours, theirs, SeedNoise(0.0, 10)) == alone


def test_seed_noise_is_twice_the_residual_mean_square() -> None:
    # residuals are +- 0.01: sum of squares 0.0004 with one degree of freedom
    assert seed_noise([[0.80, 0.84], [0.72, 0.72]]) == SeedNoise(pytest.approx(0.0008), 1)
    assert seed_noise([[0.8], [0.7]]) is seed_noise([[0.8, 0.7]]) is seed_noise([]) is None


def test_a_setting_does_not_differ_from_itself() -> None:
    said = {seed: right(np.arange(ROWS) % 3 > 0) for seed in (0, 1)}
    assert compare(said, said).p == 1.0


def test_without_a_seed_in_common_nothing_is_compared() -> None:
    assert compare({0: pair(1, 1)[0]}, {1: pair(1, 1)[0]}) is None


def test_answers_to_other_rows_are_refused() -> None:
    other = Predictions(GOLD + 1, GOLD)
    with pytest.raises(UserError, match="different texts"):
        compare({0: right(GOLD == 0)}, {0: other})
    with pytest.raises(UserError, match="different texts"):
        compare({0: right(GOLD == 0)}, {0: right(GOLD[:9] == 0)})


def test_holms_correction_is_his_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.01, 0.02], tests=6) == pytest.approx([0.06, 0.10])
    assert holm([]) == []
