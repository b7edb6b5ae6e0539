from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, sem, t
from sklearn.metrics import f1_score

from kd_lab.evaluation.intervals import POSITIVE, RATE, SIGNED, Spread, f1_macro_interval, over_seeds, wilson


def split(seed: int, rows: int, classes: int, right: float) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, rows)
    return np.where(draw.random(rows) < right, labels, draw.integers(0, classes, rows)), labels


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (87, 100), (4700, 5500)])
def test_wilsons_interval_is_his_formula(successes: int, n: int) -> None:
    z, rate = norm.ppf(0.975), successes / n
    middle, half = rate + z**2 / (2 * n), z * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    expected = np.array([middle - half, middle + half]) / (1 + z**2 / n)
    assert wilson(successes, n) == pytest.approx(tuple(expected), abs=1e-12)


def test_more_confidence_or_fewer_rows_widen_an_interval() -> None:
    low, high = wilson(80, 100)
    assert wilson(80, 100, confidence=0.99)[0] < low < high < wilson(80, 100, confidence=0.99)[1]
    assert wilson(8, 10)[0] < low < high < wilson(8, 10)[1]


def test_an_interval_repeats_with_its_seed_and_moves_with_another() -> None:
    said, gold = split(0, 200, 5, 0.7)
    assert f1_macro_interval(said, gold, 5) == f1_macro_interval(said, gold, 5)
    assert f1_macro_interval(said, gold, 5) != f1_macro_interval(said, gold, 5, seed=1)


@pytest.mark.parametrize(("rows", "classes"), [(300, 2), (150, 12)])
def test_the_fast_macro_f1_interval_agrees_with_scikit_learn_on_drawn_rows(rows: int, classes: int) -> None:
    said, gold = split(1, rows, classes, 0.6)
    slow = bootstrap(
        (gold, said),
        lambda labels, predictions: f1_score(labels, predictions, average="macro", zero_division=0),
        n_resamples=800,
        paired=True,
        vectorized=False,
        method="percentile",
        random_state=0,
    ).confidence_interval
    assert f1_macro_interval(said, gold, classes, samples=8000) == pytest.approx(tuple(slow), abs=0.015)


def test_the_macro_f1_interval_does_not_depend_on_how_draws_are_cut_into_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, gold = split(2, 100, 4, 0.7)
    whole = f1_macro_interval(said, gold, 4, samples=50)
    monkeypatch.setattr("kd_lab.evaluation.counting._CELLS", 30)
    assert f1_macro_interval(said, gold, 4, samples=50) == whole


def test_perfect_predictions_have_an_interval_of_no_width() -> None:
    gold = np.repeat(np.arange(3), 4)
    assert f1_macro_interval(gold, gold, 7) == (1.0, 1.0)


def test_a_thousand_draws_of_151_classes_take_seconds_not_minutes() -> None:
    """Of its own time on the processor, which others lengthen little; `bootstrap` takes a hundred times as long."""
    said, gold = split(3, 5500, 151, 0.0)  # all wrong: the most distinct pairs
    start = time.process_time()
    f1_macro_interval(said, gold, 151)
    assert time.process_time() - start < 8


def test_the_interval_over_seeds_is_students() -> None:
    found = over_seeds([0.8, 0.82, 0.87])
    assert found == Spread(pytest.approx(0.83), pytest.approx(0.036056, abs=1e-6), found.low, found.high, 3)
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, 2, 0.83, sem([0.8, 0.82, 0.87])))


def test_one_seed_has_a_mean_and_no_spread() -> None:
    assert over_seeds([0.8]) == Spread(0.8, None, None, None, 1)
    with pytest.raises(ValueError, match="no seed"):
        over_seeds([])


@pytest.mark.parametrize("values", [(0.667, 0.458), (1.0, 0.98), (0.0, 1.0), (0.999, 1.0, 0.999), (0.01, 0.0)])
def test_the_interval_of_a_rate_lies_within_0_and_1_and_holds_its_mean(values: tuple[float, ...]) -> None:
    """The first two are of a study whose table said 56.3 % ± 14.7 [-76.1, 188.6]."""
    found = over_seeds(values, RATE)
    assert 0 <= found.low <= found.mean <= found.high <= 1
    assert found.high - found.low > 0.001, "it is not cut down to nothing either"
    assert over_seeds([2 * value - 1 for value in values], SIGNED).low == pytest.approx(2 * found.low - 1)


def test_by_hand_the_interval_of_two_seeds_is_taken_on_the_scale_of_the_logit() -> None:
    found = over_seeds([0.667, 0.458], RATE)
    half = t.ppf(0.975, 1) * 0.1045 / (0.5625 * 0.4375)  # sd / sqrt 2 is 0.1045
    middle = np.log(0.5625 / 0.4375)
    assert (found.low, found.high) == pytest.approx([1 / (1 + np.exp(-middle + h)) for h in (half, -half)])


def test_the_interval_of_a_time_lies_above_0_and_a_number_without_bounds_is_students() -> None:
    assert over_seeds([1.0, 3.0], POSITIVE).low > 0 > over_seeds([1.0, 3.0]).low


def test_a_narrow_interval_is_the_same_on_either_scale() -> None:
    values = [0.8, 0.8005, 0.801]
    plain, bounded = over_seeds(values), over_seeds(values, RATE)
    assert (bounded.low, bounded.high) == pytest.approx((plain.low, plain.high), abs=5e-6)


def test_the_interval_of_a_rate_near_its_bound_covers_it_as_often_as_it_says() -> None:
    """Of 19 times in 20, mean ± t error covers it 18."""
    draw = np.random.default_rng(0)
    found = [over_seeds(list(draw.beta(19, 1, 3)), RATE) for _ in range(2000)]
    assert np.mean([one.low <= 0.95 <= one.high for one in found]) == pytest.approx(0.95, abs=0.015)


def test_seeds_that_agree_have_an_interval_of_no_width() -> None:
    assert over_seeds([1.0, 1.0], RATE) == Spread(1.0, 0.0, 1.0, 1.0, 2)
