from __future__ import annotations

from pathlib import Path

import numpy as np
from handmade_cells import cell, keep

from kd_lab.core.results import RunResult
from kd_lab.report.study.study_report import StudyReport, write

ROWS = 400
LABELS = {"_target_": "kd_lab.losses.weighted_sum.WeightedSum", "weights": {"cross_entropy": 1.0}}
LOSSES = {
    "distilled": {"_target_": "kd_lab.losses.hybrid.Hybrid", "alpha": 0.5},
    "baseline": LABELS | {"terms": {"cross_entropy": {"_target_": "kd_lab.losses.term.cross_entropy.CrossEntropy"}}},
}


def trained(
    model: str, method: str, right: int, validation: float = 0.5, steps: tuple[str, ...] = (), **options: int
) -> tuple[RunResult, np.ndarray]:
    """A cell that is right on the first `right` rows of test."""
    values = {"model": model, "method": "_".join([method, *steps]), **{name: str(own) for name, own in options.items()}}
    config = {
        "seed": options.get("seed", 0),
        "dataset": {"name": "toy", "labelled": options.get("dataset.labelled")},
        "model": {"name": model, "word2vec_seed": options.get("seed", 0)},
        "loss": LOSSES[method],
        "compression": {step: {} for step in steps},
    }
    made = cell([f"{name}={value}" for name, value in values.items()], validation, right / ROWS, config=config)
    return made, np.arange(ROWS) < right


def report(folder: Path, *made: tuple[RunResult, np.ndarray], figures: bool = False) -> StudyReport:
    cells, right = zip(*made, strict=True)
    keep(folder, cells, right)
    return write(folder, "study", figures=figures)


def test_each_student_is_held_against_itself_with_labels_alone(tmp_path: Path) -> None:
    told = report(
        tmp_path,
        trained("mini", "baseline", 200),
        trained("lstm", "baseline", 100),
        trained("mini", "distilled", 240, 0.9),
        trained("lstm", "distilled", 220),
        trained("lstm", "distilled", 300, steps=("onnx_int8",)),
    )
    found = {gain.student: gain for gain in told.gains}
    assert {name: gain.comparison.difference for name, gain in found.items()} == {"mini": 0.1, "lstm": 0.3}
    assert [gain.distilled.label for gain in found.values()] == [f"model={name} method=distilled" for name in found]
    exact = {name: 2 * 0.5**only for name, only in (("mini", 40), ("lstm", 120))}  # McNemar's, all one way
    assert found["lstm"].p_corrected == 2 * exact["lstm"]
    assert found["mini"].p_corrected == exact["mini"]


def test_students_of_one_name_are_told_apart_by_their_options(tmp_path: Path) -> None:
    made = []
    for hidden in (64, 256):
        for method, right in (("baseline", 100), ("distilled", 200 + hidden // 2)):
            one, said = trained("lstm", method, right, hidden=hidden)
            one.config["model"]["hidden"] = hidden
            made.append((one, said))
    found = report(tmp_path, *made).gains
    assert [gain.student for gain in found] == ["lstm hidden=64", "lstm hidden=256"]
    assert "gain of distillation, lstm hidden=256: " in found[1].text


def test_a_gain_is_told_with_its_interval_and_kept_in_the_report(tmp_path: Path) -> None:
    told = report(tmp_path, trained("lstm", "baseline", 100), trained("lstm", "distilled", 220))
    line = "gain of distillation, lstm: +30.0 points [+25.4, +34.4] of test accuracy over labels alone, "
    line += "corrected p < 0.001, one seed"
    assert told.verdict.splitlines()[1:] == [line]
    assert f"\n{line}\n" in told.files["table.md"].read_text()


def test_a_loss_is_told_as_one(tmp_path: Path) -> None:
    (gain,) = report(tmp_path, trained("lstm", "baseline", 220), trained("lstm", "distilled", 200)).gains
    assert "lstm: -5.0 points [-7.2, -2.8] of" in gain.text


def test_of_several_the_one_that_validation_prefers_is_taken_though_another_does_better_on_test(tmp_path: Path) -> None:
    (gain,) = report(
        tmp_path,
        *(trained("lstm", "baseline", 100 + 20 * lr, 0.5 + lr / 10, lr=lr) for lr in (1, 2)),
        *(trained("lstm", "distilled", 220 + 20 * lr, 0.9 - lr / 10, lr=lr) for lr in (1, 2)),
    ).gains
    assert (gain.distilled.values["lr"], gain.baseline.values["lr"]) == ("1", "2")
    assert gain.comparison.difference == 0.25
    assert "(model=lstm" not in gain.text, "an axis of one value names nothing"
    assert "(method=distilled lr=1 less method=baseline lr=2, chosen on validation)" in gain.text


def test_seeds_are_repetitions_and_not_students(tmp_path: Path) -> None:
    right = ((100, 220), (110, 222))
    made = [trained("lstm", "baseline", low, seed=seed) for seed, (low, _) in enumerate(right)]
    made += [trained("lstm", "distilled", high, seed=seed) for seed, (_, high) in enumerate(right)]
    (gain,) = report(tmp_path, *made).gains
    assert gain.comparison.n == 2
    assert gain.comparison.difference == np.mean([120, 112]) / ROWS
    assert gain.text.endswith("2 runs")


def test_labels_of_another_number_are_another_data_set(tmp_path: Path) -> None:
    few, many = {"dataset.labelled": 10}, {"dataset.labelled": 20}
    told = report(
        tmp_path,
        trained("lstm", "baseline", 100, **few),
        trained("lstm", "distilled", 200, **few),
        trained("lstm", "baseline", 300, **many),
        trained("lstm", "distilled", 320, **many),
        figures=True,
    )
    assert [gain.comparison.difference for gain in told.gains] == [0.25, 0.05]
    assert [gain.text.partition(":")[0] for gain in told.gains] == ["toy labelled=10", "toy labelled=20"]
    assert {"gain-toy-labelled-10.png", "gain-toy-labelled-20.svg"} <= set(told.files)


def test_without_both_there_is_no_gain(tmp_path: Path) -> None:
    told = report(tmp_path, trained("lstm", "distilled", 200), trained("mini", "baseline", 200), figures=True)
    assert not told.gains
    assert "gain" not in told.verdict
    assert "gain.png" not in told.files
