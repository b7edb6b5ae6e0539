"""What is true of every loss term: differentiable, a mean over rows, deaf to the teacher's gradient, clear refusals."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
import torch
from torch import Tensor

import kd_lab
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.loss import Loss, Term
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.hidden_cosine import HiddenCosine
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.term.sequence import Sequence

ROWS, TOKENS, CLASSES, WIDTH = 4, 3, 5, 6
TERMS = {
    "cross_entropy": CrossEntropy(0.1),
    "kl": KL(3.0),
    "sequence": Sequence(),
    "logit_mse": LogitMse(),
    "hidden_cosine": HiddenCosine(),
}
every_term = pytest.mark.parametrize("name", TERMS)
teacher_terms = pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs])


def said(seed: int, dtype: torch.dtype = torch.float64) -> Outputs:
    numbers = torch.Generator().manual_seed(seed)
    logits = torch.randn(ROWS, CLASSES, generator=numbers, dtype=torch.float64)
    hidden = torch.randn(ROWS, TOKENS, WIDTH, generator=numbers, dtype=torch.float64)
    return Outputs(logits.to(dtype), hidden.to(dtype))


def batch(teacher: Outputs | None) -> Batch:
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    return Batch(torch.arange(ROWS), mask, mask, torch.tensor([0, 4, -1, 2]), teacher=teacher)


def doubled(outputs: Outputs) -> Outputs:
    assert outputs.hidden is not None
    return Outputs(outputs.logits.repeat(2, 1), outputs.hidden.repeat(2, 1, 1))


def test_every_term_file_is_tried_here() -> None:
    found = {}
    for file in (Path(kd_lab.__file__).parent / "losses/term").glob("[!_]*.py"):
        module = importlib.import_module(f"kd_lab.losses.term.{file.stem}")
        for kind in vars(module).values():
            if inspect.isclass(kind) and issubclass(kind, Term) and kind.__module__ == module.__name__:
                found[file.stem] = kind
    assert found == {name: type(term) for name, term in TERMS.items()}


@every_term
def test_gradient_is_that_of_the_value(name: str) -> None:
    student, teacher = said(0), said(1)
    assert student.hidden is not None

    def value(logits: Tensor, hidden: Tensor) -> Tensor:
        return TERMS[name](Outputs(logits, hidden), batch(teacher))

    inputs = (student.logits.requires_grad_(), student.hidden.requires_grad_())
    assert torch.autograd.gradcheck(value, inputs)


@every_term
def test_is_a_scalar_of_float32_for_half_precision(name: str) -> None:
    student, teacher = said(0, torch.bfloat16), said(1, torch.float16)
    value = TERMS[name](student, batch(teacher))
    assert value.shape == ()
    assert value.dtype == torch.float32
    wide = [Outputs(*(field.double() for field in outputs if field is not None)) for outputs in (student, teacher)]
    torch.testing.assert_close(value.double(), TERMS[name](wide[0], batch(wide[1])), rtol=1e-5, atol=1e-5)


@every_term
def test_does_not_change_when_the_batch_is_doubled(name: str) -> None:
    student, teacher = said(0), said(1)
    once = batch(teacher)
    twice = Batch(*(field.repeat(2, *[1] * (field.ndim - 1)) for field in once[:4]), teacher=doubled(teacher))
    torch.testing.assert_close(TERMS[name](doubled(student), twice), TERMS[name](student, once))


@every_term
def test_does_not_depend_on_the_order_of_rows(name: str) -> None:
    student, teacher, order = said(0), said(1), torch.tensor([2, 0, 3, 1])
    once = batch(teacher)
    ours, theirs = (Outputs(*(field[order] for field in outputs[:2])) for outputs in (student, teacher))
    mixed = Batch(*(field[order] for field in once[:4]), teacher=theirs)
    torch.testing.assert_close(TERMS[name](ours, mixed), TERMS[name](student, once))


@teacher_terms
def test_changes_when_teacher_rows_are_paired_with_other_students(name: str) -> None:
    student, teacher = said(0), said(1)
    rolled = Outputs(*(field.roll(1, 0) for field in teacher[:2]))
    assert not torch.allclose(TERMS[name](student, batch(rolled)), TERMS[name](student, batch(teacher)), rtol=1e-3)


@teacher_terms
def test_reads_the_teacher_but_sends_it_no_gradient(name: str) -> None:
    student, teacher = said(0), said(1)
    assert teacher.hidden is not None
    for field in (*student[:2], *teacher[:2]):
        field.requires_grad_()
    TERMS[name](student, batch(teacher)).backward()
    assert any(field.grad is not None and field.grad.abs().sum() > 0 for field in student[:2])
    assert all(field.grad is None for field in teacher[:2])


@teacher_terms
def test_refuses_a_batch_without_teacher(name: str) -> None:
    with pytest.raises(UserError, match=rf"'{name}': expected teacher .*none in the batch.*teacher=minilm"):
        TERMS[name](said(0), batch(None))


@teacher_terms
def test_refuses_a_teacher_of_another_shape(name: str) -> None:
    wider = Outputs(torch.zeros(ROWS, 1), torch.zeros(ROWS, TOKENS, 1))  # 1 would broadcast
    with pytest.raises(UserError, match=rf"'{name}': expected teacher .* of the student's shape"):
        TERMS[name](said(0), batch(wider))


@every_term
def test_refuses_a_single_class(name: str) -> None:
    loss = Loss({name: TERMS[name]}, {name: 1.0})
    with pytest.raises(UserError, match=f"'{name}': expected at least 2 classes, got 1"):
        loss.check(classes=1, teacher=True)
    loss.check(classes=2, teacher=True)
