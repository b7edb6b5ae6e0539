"""What a config means is settled before anything is fitted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd_lab.cli.compose import compose
from kd_lab.core.errors import UserError
from kd_lab.pipeline.cell import Cell
from kd_lab.training.fit import Fitted

PRUNED = ("model=distilbert_mini", "compression=[prune_heads]")


def cell(*overrides: str) -> Cell:
    return Cell(compose([*PRUNED, *overrides]))


def test_a_step_trains_on_under_what_the_model_said_or_under_the_loss_of_its_fit() -> None:
    by_teacher = cell("recovery=teacher")
    taught = object()
    given = by_teacher._recovery(None, None, taught, advance=len)  # type: ignore[arg-type]
    assert (given.spec, given.teacher, given.dropout) == (by_teacher.student, taught, True)
    asked: list[tuple[str, str]] = []

    said = {"train": torch.zeros(2, 3), "validation": torch.ones(1, 3)}

    def logits(fitted: object, tokens: object, split: str, precision: str, role: str) -> torch.Tensor:
        asked.append((split, role))
        return said[split]

    by_student = cell()
    by_student.logits = logits  # type: ignore[assignment]
    given = by_student._recovery(Fitted(Path("student")), None, taught, advance=len)  # type: ignore[arg-type]
    assert asked == [("train", "uncompressed"), ("validation", "uncompressed")]
    assert list(given.spec.loss.terms) == ["logit_mse"]
    assert given.teacher is not taught
    assert not given.dropout
    assert given.teacher is not None
    assert given.teacher.fingerprint == "student"
    assert {split: one.logits for split, one in given.teacher.outputs.items()} == said  # type: ignore[attr-defined]


def test_whom_it_learns_from_is_in_the_name_of_what_trains_on_and_of_nothing_else() -> None:
    one, other = cell(), cell("recovery=teacher")
    assert one.fingerprints["fit"] == other.fingerprints["fit"]
    assert one.fingerprints["compressed"] != other.fingerprints["compressed"]
    still = [cell(f"recovery={name}", "compression.prune_heads.epochs=0") for name in ("student", "teacher")]
    assert still[0].fingerprints["compressed"] == still[1].fingerprints["compressed"]


def test_a_recovery_under_hidden_states_that_no_longer_fit_is_refused() -> None:
    line = ("loss=hidden_cosine", "compression=[trim_vocabulary,prune_heads]")
    with pytest.raises(UserError, match=r"compression\.trim_vocabulary: expected a loss of logits alone"):
        cell(*line, "recovery=teacher")
    assert cell(*line, "recovery=student").steps
    assert cell(*line, "recovery=teacher", "compression.prune_heads.epochs=0").steps


def test_another_recovery_is_one_clear_line() -> None:
    with pytest.raises(UserError, match="recovery: expected student or teacher, got 'both'"):
        cell("recovery=both")
