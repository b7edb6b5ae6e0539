"""What a classifier answers out of scope is judged apart from what it answers in scope."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from kd_lab.cli.compose import compose
from kd_lab.core.errors import UserError
from kd_lab.evaluation.scoring import gold, scores
from kd_lab.pipeline.cell import Cell


def right_but_for_food(tokens) -> torch.Tensor:
    """Logits that answer every row rightly, but never say "food"."""
    logits = torch.nn.functional.one_hot(gold(tokens, "test"), len(tokens.classes)).double()
    logits[:, tokens.classes.index("food")] = -1.0
    return logits


def test_accuracy_in_scope_and_recall_out_of_scope_stand_beside_accuracy(toy_tokens):
    found = scores(toy_tokens, {"test": right_but_for_food(toy_tokens)}, "food")["test"]
    food = float((gold(toy_tokens, "test") == toy_tokens.classes.index("food")).double().mean())
    assert 0 < food < 1
    assert found["accuracy"] == pytest.approx(1 - food)
    assert found["accuracy_in_scope"] == 1.0
    assert found["recall_out_of_scope"] == 0.0
    low, high = found["recall_out_of_scope_interval"]
    assert low == 0.0 < high < 1.0


def test_without_such_a_class_they_do_not_appear(toy_tokens):
    assert "accuracy_in_scope" not in scores(toy_tokens, {"test": right_but_for_food(toy_tokens)})["test"]


def test_a_cell_judges_by_its_data_sets_own_class(toy_tokens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = Cell(compose(["teacher=none", "loss=cross_entropy"]))
    said = {"test": right_but_for_food(toy_tokens)}
    assert "accuracy_in_scope" not in cell.scores(toy_tokens, said)["test"]
    cell.dataset = SimpleNamespace(out_of_scope="food")
    assert cell.scores(toy_tokens, said)["test"]["accuracy_in_scope"] == 1.0


def test_a_class_that_is_not_there_is_one_line(toy_tokens):
    with pytest.raises(UserError, match="drinks"):
        scores(toy_tokens, {"test": right_but_for_food(toy_tokens)}, "drinks")
