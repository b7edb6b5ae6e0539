"""A model that is not sure says no label; a human or another model answers then."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_study import cell

import kd_lab
from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.evaluation.predictions import read_validation
from kd_lab.serving.cascade import SELECTIVE, Cascade, OperatingPoint, at_or_below, operating_points
from kd_lab.serving.label_decisions import Said
from kd_lab.serving.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house number 7", "no green song number 1", "of the", "green red old"]


class Fixed:
    """Says what it was told to: text -> (label, its probability), of two labels."""

    def __init__(self, labels: tuple[str, str], sure: dict[str, tuple[str, float]]) -> None:
        self.labels, self._sure, self.asked = labels, sure, []

    multi_label = False

    def say(self, texts: list[str], seconds: Any = None, batch_size: int = 32) -> Said:
        self.asked += texts
        said = [self._sure[text] for text in texts]
        rows = np.array([[odds if label == name else 1 - odds for name in self.labels] for label, odds in said])
        return Said([label for label, _ in said], rows, rows.max(axis=1))


@pytest.fixture
def models(small_study: Path) -> tuple[Path, Path]:
    return cell(small_study, "[onnx_int8]"), cell(small_study, "[]")


@pytest.fixture
def predict(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def predict(*given: str, code: int = 0) -> Any:
        assert command(["predict", *given]) == code
        return capsys.readouterr()

    return predict


def test_rows_below_the_threshold_have_no_label_and_those_at_it_have_one() -> None:
    first = Fixed(("a", "b"), {"sure": ("a", 0.95), "at it": ("b", 0.9), "below": ("a", 0.89)})
    cascade = Cascade(first, 0.9)  # type: ignore[arg-type]
    answers = cascade.predict(["below", "sure", "at it"])
    assert answers.labels == [None, "a", "b"]
    assert answers.abstained is not None
    assert answers.abstained.tolist() == [True, False, False]
    assert (cascade.kept, cascade.left) == (2, 1)


def test_the_second_model_answers_those_rows_alone_in_the_order_of_the_firsts_labels() -> None:
    first = Fixed(("a", "b"), {"x": ("a", 0.6), "y": ("a", 0.99), "z": ("b", 0.7)})
    second = Fixed(("b", "a"), {"x": ("b", 0.8), "z": ("a", 0.55)})
    answers = Cascade(first, 0.9, second).predict(["x", "y", "z"])  # type: ignore[arg-type]
    assert second.asked == ["x", "z"]
    assert answers.labels == ["b", "a", "a"]
    assert answers.probabilities.round(2).tolist() == [[0.2, 0.8], [0.99, 0.01], [0.55, 0.45]]


def test_models_of_other_labels_are_refused() -> None:
    with pytest.raises(UserError, match="the same 2 labels, got 2, of which 'b' is only in one"):
        Cascade(Fixed(("a", "b"), {}), 0.9, Fixed(("a", "c"), {}))  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [0, -1, 1.5, True, float("nan"), "0.9"])
def test_what_is_no_threshold_is_refused(threshold: Any, models: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="abstain: expected a probability above 0, at most 1"):
        TextClassifier(models[0] / "model").predict(TEXTS, abstain=threshold)


def test_from_python_a_label_is_none_where_it_is_less_probable(models: tuple[Path, Path]) -> None:
    model = kd_lab.load(models[0])
    labels, probabilities = model.predict(TEXTS)
    threshold = float(np.sort(probabilities.max(axis=1))[2])  # the third of five: it has a label itself
    some, same = model.predict(TEXTS, abstain=threshold)
    kept = probabilities.max(axis=1) >= threshold
    assert kept.sum() == 3
    assert some == [label if sure else None for label, sure in zip(labels, kept, strict=True)]
    assert (same == probabilities).all()


def test_predict_leaves_rows_to_a_human_or_asks_another_model(
    models: tuple[Path, Path], tmp_path: Path, predict: Callable[..., Any]
) -> None:
    first, second = models
    labels, odds = TextClassifier(first / "model").predict(TEXTS)
    threshold = float(np.sort(odds.max(axis=1))[3]) - 1e-9
    sure = (odds.max(axis=1) >= threshold).tolist()
    assert sum(sure) == 2
    (tmp_path / "in.csv").write_text("text,id\n" + "".join(f"{text},{n}\n" for n, text in enumerate(["", *TEXTS])))
    line = ["--model", str(first), "--csv", str(tmp_path / "in.csv"), "--skip-empty", "--abstain", repr(threshold)]
    alone = predict(*line)
    rows = list(csv.DictReader(io.StringIO(alone.out)))
    assert [row["label"] for row in rows] == [
        "",
        *(label if kept else "" for label, kept in zip(labels, sure, strict=True)),
    ]
    assert [row["abstained"] for row in rows] == ["", *("false" if kept else "true" for kept in sure)]
    assert "2 of 5 rows kept, 3 left to a human" in alone.err
    asked = predict(*line, "--ask", str(second), "--out", str(tmp_path / "out.jsonl"))
    theirs = TextClassifier(second / "model").predict(TEXTS)[0]
    told = [json.loads(one) for one in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["label"] for row in told] == [
        None,
        *(own if kept else other for own, other, kept in zip(labels, theirs, sure, strict=True)),
    ]
    assert [row["abstained"] for row in told] == [None, *(not kept for kept in sure)]
    assert f"2 of 5 rows kept, 3 asked of {second}" in asked.err


def test_what_a_threshold_gave_on_validation_is_counted_row_by_row(
    models: tuple[Path, Path], predict: Callable[..., Any]
) -> None:
    first, second = (read_validation(folder) for folder in models)
    assert first is not None
    assert second is not None
    threshold = float(np.median(first.confidence))
    kept = [sure >= np.float32(threshold) for sure in first.confidence]
    right = [said == label for said, label in zip(first.predictions, first.labels, strict=True)]
    both = [
        said if sure else other for said, other, sure in zip(first.predictions, second.predictions, kept, strict=True)
    ]
    hits = sum(said == label for said, label in zip(both, first.labels, strict=True))
    told = predict("--model", str(models[0]), "--abstain", repr(threshold), "--ask", str(models[1]), "a cat").err
    rows = len(right)
    assert f"keeps {100 * sum(kept) / rows:.1f} % of rows" in told
    assert f"{100 * sum(r for r, k in zip(right, kept, strict=True) if k) / sum(kept):.1f} % of them right" in told
    assert f"alone it has {100 * sum(right) / rows:.1f} % of all rows right" in told
    assert f"with the model that is asked for the rest {100 * hits / rows:.1f} %" in told


def test_a_copy_tells_of_the_last_threshold_below_from_its_card(
    models: tuple[Path, Path], tmp_path: Path, predict: Callable[..., Any]
) -> None:
    copy = shutil.copytree(models[0] / "model", tmp_path / "copy")
    rows = operating_points(json.loads((copy / "classifier.json").read_text())[SELECTIVE])
    found = at_or_below(rows, 0.66)
    assert found is not None
    assert found.threshold == 0.6
    told = predict("--model", str(copy), "--abstain", "0.66", "a cat").err
    assert f"on validation at 0.6: keeps {100 * found.coverage:.1f} % of rows" in told
    assert f"with its teacher for the rest {100 * (found.cascade or 0):.1f} %" in told
    assert "on validation" not in predict("--model", str(copy), "--abstain", "0.3", "a cat").err


def test_the_result_and_the_card_say_what_each_threshold_keeps(models: tuple[Path, Path]) -> None:
    result, said = results.read(models[0]), read_validation(models[0])
    assert said is not None
    rows = operating_points(result.metrics["validation"][SELECTIVE])
    assert [row.threshold for row in rows] == [0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
    alone = result.metrics["validation"]["accuracy"]
    assert rows[0] == OperatingPoint(0.0, 1.0, alone, alone)
    coverage = [row.coverage for row in rows]
    assert coverage == sorted(coverage, reverse=True)
    assert [row.coverage for row in rows] == [float((said.confidence >= row.threshold).mean()) for row in rows]
    card = (models[0] / "model" / "README.md").read_text(encoding="utf-8")
    for row in rows[1 : 2 + sum(row.coverage > 0 for row in rows[1:])]:
        assert f"| {row.threshold:g} | {100 * row.coverage:.1f} % |" in card
    assert operating_points(json.loads((models[0] / "model" / "classifier.json").read_text())[SELECTIVE]) == rows


def test_an_option_alone_or_a_card_of_before_is_no_trouble(
    models: tuple[Path, Path], tmp_path: Path, predict: Callable[..., Any]
) -> None:
    said = predict("--model", str(models[0]), "--ask", str(models[1]), "a cat", code=2).err
    assert "--ask: expected --abstain P, got none" in said
    copy = shutil.copytree(models[0] / "model", tmp_path / "copy")
    card = json.loads((copy / "classifier.json").read_text())
    for damaged in (None, "x", [[1]], [["a", 1, 1]], [[0.9, 0.5, "x"]]):
        (copy / "classifier.json").write_text(json.dumps({**card, SELECTIVE: damaged}))
        told = predict("--model", str(copy), "--abstain", "0.9", "a cat").err
        assert "abstain below 0.9" in told
        assert "on validation" not in told
