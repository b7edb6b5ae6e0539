from __future__ import annotations

import itertools
from functools import partial

import handmade_cells
import numpy as np
import pytest
from handmade_cells import cell, lost

from kd_lab.core.results import RunResult
from kd_lab.evaluation.paired_tests import Predictions, seed_noise
from kd_lab.report.study.comparisons import seeds_noise
from kd_lab.report.study.runs import Run
from kd_lab.report.study.settings import settings
from kd_lab.report.study.verdict import Verdict, verdicts

ROWS = 400
first = partial(handmade_cells.first, rows=ROWS)


def judged(cells: list[RunResult], right: list[list[np.ndarray]]) -> list[Verdict]:
    """Verdicts on settings with the rows (N,) bool in which each seed of each was right."""
    labels = np.zeros(ROWS, np.int64)
    said = [
        {run(seed): Predictions(labels, np.where(mask, 0, 1)) for seed, mask in enumerate(masks)} for masks in right
    ]
    return verdicts(settings(cells), said)


def run(seed: int) -> Run:
    return (("seed", seed),)


def test_the_noise_of_seeds_is_that_of_all_settings_whatever_their_order() -> None:
    """Word vectors have a seed of their own, which other students lack."""
    accuracies = {"lstm": [0.7, 0.71, 0.73], "gru": [0.6, 0.64, 0.62], "mini": [0.9, 0.9, 0.92]}
    cells = []
    for model, found in accuracies.items():
        for seed, accuracy in enumerate(found):
            own = {"name": model} | ({} if model == "mini" else {"word2vec_seed": seed})
            config = {"seed": seed, "model": own, "dataset": {"name": "toy"}}
            cells.append(cell([f"model={model}", f"seed={seed}"], test=accuracy, config=config))
    group = settings(cells)
    expected = seed_noise(list(accuracies.values()))
    for order in itertools.permutations(group):
        for one in group:
            noise = seeds_noise(one, order)
            assert (noise.dof, pytest.approx(noise.variance)) == (expected.dof, expected.variance)


def sweep(validation: list[float], tests: list[float], seeds: int = 1) -> list[RunResult]:
    """One setting for each pair of accuracies; seeds differ by a tenth of a point."""
    return [
        cell([f"a={place}", f"seed={seed}"], v + seed / 1000, t + seed / 1000)
        for place, (v, t) in enumerate(zip(validation, tests, strict=True))
        for seed in range(seeds)
    ]


def test_the_best_is_chosen_on_validation_and_held_against_all_others_on_test() -> None:
    cells = sweep([0.7, 0.9, 0.8], [0.75, 0.9, 0.8])
    (verdict,) = judged(cells, [[first(300)], [first(360)], [first(320)]])
    assert verdict.best.label == "a=1"
    assert verdict.text == (
        "best: a=1, test accuracy 90.0 % [85.1, 93.4], one seed, better than all 2 others "
        "(largest corrected p < 0.001); compared by one seed, which says nothing about other seeds"
    )


def test_others_that_cannot_be_told_from_the_best_are_named_the_most_accurate_first() -> None:
    cells = sweep([0.9, 0.8, 0.8, 0.8, 0.8], [0.75, 0.74, 0.741, 0.742, 0.5])
    (verdict,) = judged(cells, [[first(300)], [first(296)], [first(296)], [first(297)], [first(200)]])
    assert (
        "better than 1 of 4 others (corrected p < 0.001); "
        "not distinguishable from: a=3, a=2 and 1 other (corrected p ≥ 0.05);" in verdict.text
    )


def test_a_best_that_is_worse_on_test_is_said_to_be() -> None:
    (verdict,) = judged(sweep([0.9, 0.8], [0.5, 0.9]), [[first(200)], [first(360)]])
    assert "best: a=0" in verdict.text
    assert "chosen on validation, yet worse on test than: a=1 (corrected p < 0.001)" in verdict.text


def test_of_equals_on_validation_the_first_is_best() -> None:
    (verdict,) = judged(sweep([0.8, 0.9, 0.9], [0.8] * 3), [[first(320)]] * 3)
    assert verdict.best.label == "a=1"
    assert [other.p_corrected for other in verdict.others] == [1.0, 1.0]


def test_p_values_are_corrected_for_the_others_with_one_seed_and_for_all_pairs_with_several() -> None:
    one = judged(sweep([0.9, 0.8, 0.8, 0.8], [0.8] * 4), [[first(320)], *[[first(312)]] * 3])[0]
    bare = one.others[0].comparison
    assert one.others[0].p_corrected == 3 * bare.p
    two = judged(
        sweep([0.9, 0.8, 0.8, 0.8], [0.8] * 4, seeds=2), [[first(320), first(324)], *[[first(310), first(315)]] * 3]
    )[0]
    bare = two.others[0].comparison
    assert two.others[0].p_corrected == min(1.0, 6 * bare.p)
    assert "test accuracy 80.0 % ± 0.1 [79.4, 80.7] over 2 seeds" in two.text.replace("80.1 %", "80.0 %")


def test_a_single_setting_has_figures_and_no_comparison() -> None:
    (verdict,) = judged([*sweep([0.9], [0.8], seeds=3), lost(["a=0", "seed=3"])], [[]])
    assert verdict.text == "test accuracy 80.1 % ± 0.1 [79.9, 80.3] over 3 seeds, 1 of its cells did not finish"
    assert judged([lost(["a=0"])], [[]]) == []


def test_settings_that_failed_are_not_among_those_tried() -> None:
    (verdict,) = judged([*sweep([0.9, 0.8], [0.9, 0.5]), lost(["a=2"])], [[first(360)], [first(200)], []])
    assert verdict.tried == 2
    assert "better than the other (corrected p < 0.001)" in verdict.text


def test_a_setting_without_predictions_or_on_other_rows_is_not_compared() -> None:
    (verdict,) = judged(sweep([0.9, 0.8, 0.8], [0.9, 0.5, 0.5]), [[first(360)], [], []])
    assert "better than" not in verdict.text
    assert "not compared with: a=1 and a=2" in verdict.text
    found = settings(sweep([0.9, 0.8], [0.9, 0.5]))
    labels = np.zeros(ROWS, np.int64)
    (verdict,) = verdicts(found, [{run(0): Predictions(labels, labels)}, {run(0): Predictions(labels + 1, labels)}])
    assert "not compared with: a=1" in verdict.text


def test_without_validation_there_is_no_best() -> None:
    cells = [cell([f"a={a}"], metrics={"test": {"accuracy": 0.8}}) for a in (1, 2)]
    (verdict,) = judged(cells, [[first(300)], [first(320)]])
    assert verdict.best is None
    assert "no best" in verdict.text


def false_claims(settings_: int, seeds: int, seed_sd: float, studies: int) -> float:
    """Share of studies of settings that do not differ in which the best is called better than any of them.

    Rows differ in how hard they are; a seed moves the accuracy on validation and on test alike, by about `seed_sd`
    fifteenths: the lucky fits are those that get chosen.
    """
    draw, claims = np.random.default_rng(5), 0
    labels = np.zeros(200, np.int64)
    for _ in range(studies):
        ease = draw.normal(1.5, 2, 400) + draw.normal(0, seed_sd, (settings_, seeds, 1))
        right = draw.random((settings_, seeds, 400)) < 1 / (1 + np.exp(-ease))
        accuracy = right.reshape(settings_, seeds, 2, 200).mean(3)
        cells = [
            cell([f"a={a}", f"seed={s}"], *map(float, accuracy[a, s])) for a in range(settings_) for s in range(seeds)
        ]
        said = [
            {run(s): Predictions(labels, np.where(right[a, s, 200:], 0, 1)) for s in range(seeds)}
            for a in range(settings_)
        ]
        (verdict,) = verdicts(settings(cells), said)
        claims += any(other.sign > 0 for other in verdict.others)
    return claims / studies


def test_among_settings_that_do_not_differ_one_is_called_better_in_at_most_a_twentieth_of_studies() -> None:
    assert false_claims(settings_=10, seeds=1, seed_sd=0.0, studies=150) <= 0.05
    assert false_claims(settings_=10, seeds=3, seed_sd=0.3, studies=150) <= 0.05  # 0.15 if pairs were tested alone


def with_chance(cells: list[RunResult], low: list[float]) -> list[RunResult]:
    """The same, judged on validation where the most frequent of 2 classes has half of the rows; `low` of intervals."""
    for one, end in zip(cells, low, strict=True):
        one.metrics["validation"] |= {
            "accuracy_interval": [end, 0.9],
            "balanced_accuracy_interval": [end, 0.9],
            "majority_rate": 0.5,
            "classes": 2,
        }
    return cells


def test_among_settings_that_are_all_at_chance_there_is_no_best() -> None:
    cells = with_chance(sweep([0.55, 0.6, 0.5], [0.5, 0.55, 0.6]), [0.4, 0.49, 0.3])
    (verdict,) = judged(cells, [[first(200)], [first(220)], [first(240)]])
    assert verdict.best is None
    assert not verdict.others
    assert verdict.text == "no best: all 3 settings are at the majority-class rate on validation (50.0 %)"


def test_always_answering_a_large_class_is_not_the_best_nor_is_what_is_less_accurate() -> None:
    cells = with_chance(sweep([0.7, 0.54], [0.69, 0.54]), [0.45, 0.51])
    (verdict,) = judged(cells, [[first(276)], [first(216)]])
    assert verdict.best is None
    assert verdict.text == (
        "no best: a=0, which has the highest accuracy on validation, is at the majority-class rate on validation "
        "(50.0 %); 1 of 2 settings is not, if classes are weighed alike (balanced accuracy)"
    )


def test_a_setting_at_chance_takes_nothing_from_the_best() -> None:
    cells = with_chance(sweep([0.5, 0.8], [0.5, 0.8]), [0.45, 0.75])
    (verdict,) = judged(cells, [[first(200)], [first(320)]])
    assert verdict.best.label == "a=1"


def test_a_single_setting_at_chance_is_told_to_be() -> None:
    (verdict,) = judged(with_chance(sweep([0.5], [0.5]), [0.4]), [[first(200)]])
    assert verdict.text.endswith("one seed, at the majority-class rate on validation")


def test_one_seed_that_is_not_at_chance_is_enough() -> None:
    cells = with_chance(sweep([0.55, 0.5], [0.5, 0.5], seeds=2), [0.45, 0.51, 0.4, 0.4])
    (verdict,) = judged(cells, [[first(200)] * 2, [first(200)] * 2])
    assert verdict.best.label == "a=0"
