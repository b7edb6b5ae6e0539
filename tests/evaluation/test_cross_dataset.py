"""A classifier on another data set: which class is which, and how right it is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.evaluation.cross_dataset import BY_NAME, BY_NUMBER, class_order, evaluate


def test_classes_are_matched_by_name_in_whatever_order_and_case() -> None:
    found = class_order(["bad", "fair", "good"], [" Good", "bad"], "also_on.x")
    assert (found.order.tolist(), found.by) == ([2, 0], BY_NAME)


def test_as_many_classes_of_other_names_are_matched_by_number() -> None:
    found = class_order(["bad", "good"], ["0", "good enough"], "also_on.x")
    assert (found.order.tolist(), found.by) == ([0, 1], BY_NUMBER)


@pytest.mark.parametrize("model", [["a", "b", "c"], ["0"]])
def test_other_classes_are_refused_by_name(model: list[str]) -> None:
    with pytest.raises(UserError, match=r"also_on\.x.*got 2: 0, 1.*Leave it out of also_on"):
        class_order(model, ["0", "1"], "also_on.x")


def test_rows_are_judged_by_the_models_numbers_and_those_without_a_label_are_not(
    tmp_path: Path, bert_tokenizer: Tokenizer, own_cache: Cache
) -> None:
    rows = "".join(f"text {n},{label}\n" for n in range(8) for label in ("good", "bad", ""))
    (tmp_path / "train.csv").write_text("text,label\n" + rows)
    tokens = tokenise(Csv(str(tmp_path / "train.csv")), bert_tokenizer, own_cache)
    gold = tokens.split("test").gold()
    assert tokens.classes == ("bad", "good")
    classes = class_order(["fair", "good", "bad"], tokens.classes, "also_on.x")
    right = torch.nn.functional.one_hot(torch.from_numpy(np.where(gold == 1, 1, 2)), 3).float() * 9
    found = evaluate(tokens, right, classes)
    assert (found["accuracy"], found["rows"], found["classes_by"]) == (1.0, int((gold >= 0).sum()), BY_NAME)
    fair = torch.zeros(len(gold), 3)
    fair[:, 0] = 9  # a class that the data has not: every answer is wrong
    assert evaluate(tokens, fair, classes)["accuracy"] == 0.0
    assert found["majority_rate"] == pytest.approx(0.5, abs=0.35)
