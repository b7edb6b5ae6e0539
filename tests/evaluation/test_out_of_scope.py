"""Texts of no class against all others, at every threshold: by hand, and against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from kd_lab.evaluation.out_of_scope import LEVELS, evaluate

OUT = 1  # of three classes


def drawn(rows: int = 400, *, coarse: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (rows,), generator=random)
    logits = torch.randn(rows, 3, generator=random) + 2.5 * torch.nn.functional.one_hot(labels, 3)
    return (logits.round() if coarse else logits), labels


@pytest.mark.parametrize("coarse", [False, True])
def test_auroc_is_scikit_learns_with_and_without_ties(coarse):
    logits, labels = drawn(coarse=coarse)
    expected = roc_auc_score(labels == OUT, logits.double().softmax(1)[:, OUT])
    assert evaluate(logits, labels, OUT)["auroc_out_of_scope"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("coarse", [False, True])
def test_recall_at_an_accuracy_in_scope_is_that_of_the_best_threshold_there_is(coarse):
    logits, labels = drawn(coarse=coarse)
    found = evaluate(logits, labels, OUT)
    probability, outside = logits.double().softmax(1)[:, OUT], labels == OUT
    others = logits.clone()
    others[:, OUT] = -9e9
    for level in LEVELS:
        best = None
        for threshold in probability.tolist():
            stays = probability <= threshold
            accuracy = float((stays & (others.argmax(1) == labels))[~outside].double().mean())
            if accuracy >= level:
                best = max(best or 0.0, float((~stays)[outside].double().mean()))
        assert found.get(f"recall_out_of_scope_at_{round(100 * level)}") == (
            best if best is None else pytest.approx(best)
        )
    assert "recall_out_of_scope_at_85" in found


def test_an_accuracy_that_no_threshold_reaches_is_left_out():
    labels = torch.tensor([0, 2, OUT, 0])
    logits = torch.tensor([[3.0, 0, 0], [3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]])  # a third right in scope
    assert set(evaluate(logits, labels, OUT)) == {"auroc_out_of_scope"}


def test_a_perfect_one_has_all_and_a_split_of_one_side_says_nothing():
    labels = torch.tensor([0, 2, OUT, 0])
    perfect = 9.0 * torch.nn.functional.one_hot(labels, 3)
    found = evaluate(perfect, labels, OUT)
    assert {name: found[name] for name in found if not name.endswith("interval")} == {
        "auroc_out_of_scope": 1.0,
        **{f"recall_out_of_scope_at_{round(100 * level)}": 1.0 for level in LEVELS},
    }
    assert evaluate(perfect[:2], labels[:2], OUT) == evaluate(perfect[2:3], labels[2:3], OUT) == {}
