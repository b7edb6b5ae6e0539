"""Several teachers say the weighted mean of what each says."""

from __future__ import annotations

import pytest
import torch

from kd_lab.core.errors import UserError
from kd_lab.training import ensemble_teacher
from kd_lab.training.ensemble_teacher import EnsembleTeacher, combined

NAN = float("nan")


def test_probabilities_and_logits_are_averaged_by_their_shares() -> None:
    one, two = torch.randn(5, 3), torch.randn(5, 3)
    mean = 0.25 * one.softmax(1) + 0.75 * two.softmax(1)
    found = combined([one, two], [0.25, 0.75], "probabilities")
    assert torch.allclose(found.softmax(1), mean, atol=1e-6)
    assert torch.allclose(found.mean(1), torch.zeros(5), atol=1e-6)
    of_logits = combined([one, two], [0.25, 0.75], "logits")
    assert torch.allclose(of_logits.softmax(1), (0.25 * one + 0.75 * two).softmax(1), atol=1e-6)


def test_who_says_nothing_of_a_row_leaves_it_to_the_others() -> None:
    one = torch.tensor([[1.0, 0.0], [NAN, NAN], [NAN, NAN]])
    two = torch.tensor([[0.0, 2.0], [0.0, 2.0], [NAN, NAN]])
    found = combined([one, two], [0.9, 0.1], "probabilities")
    assert torch.allclose(found[1].softmax(0), two[1].softmax(0))
    assert found[2].isnan().all()
    assert not found[:2].isnan().any()


def test_rows_are_combined_alike_however_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = torch.randn(7, 3), torch.randn(7, 3)
    two[4] = NAN
    whole = combined([one, two], [0.25, 0.75], "logits")
    monkeypatch.setattr(ensemble_teacher, "_PART", 2)
    assert torch.equal(combined([one, two], [0.25, 0.75], "logits"), whole)


@pytest.mark.parametrize(
    ("members", "weights", "told"),
    [
        ({"a": 1}, None, r"teacher\.members: expected at least two teachers, got a"),
        ({"a": 1, "b": 2}, {"a": 1.0}, r"teacher\.weights: expected one for each of a, b"),
        ({"a": 1, "b": 2}, {"a": 0.0, "b": 0.0}, r"teacher\.weights: expected one above 0"),
    ],
)
def test_what_is_no_ensemble_is_refused(members: dict[str, int], weights: dict[str, float] | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        EnsembleTeacher(members, weights)


def test_shares_sum_to_one() -> None:
    assert EnsembleTeacher({"a": 1, "b": 2}).shares == {"a": 0.5, "b": 0.5}
    assert EnsembleTeacher({"a": 1, "b": 2}, {"a": 1.0, "b": 3.0}).shares == {"a": 0.25, "b": 0.75}
