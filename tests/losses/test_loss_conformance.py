"""What is true of every loss term: differentiable, a mean over rows, deaf to the teacher's gradient, clear refusals."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from every_field import LAYERS, MASK, ROWS, TOKEN_AXES, TOKENS, batch, each, fields, said
from torch import Tensor

import kd_lab
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.losses.base import Term
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.dist import Dist
from kd_lab.losses.term.dkd import DKD
from kd_lab.losses.term.entropy import Entropy
from kd_lab.losses.term.hidden_cosine import HiddenCosine
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.term.minilm import MiniLm
from kd_lab.losses.term.minilm_v2 import MiniLmV2
from kd_lab.losses.term.pkd import PKD
from kd_lab.losses.term.rkd import RKD
from kd_lab.losses.term.sequence import Sequence
from kd_lab.losses.term.standardised_kl import StandardisedKL
from kd_lab.losses.term.tinybert_attention import TinyBertAttention
from kd_lab.losses.term.tinybert_hidden import TinyBertHidden
from kd_lab.losses.term.virtual_adversarial import VirtualAdversarial

TERMS = {
    "cross_entropy": CrossEntropy(0.1),
    "kl": KL(3.0),
    "sequence": Sequence(),
    "logit_mse": LogitMse(),
    "hidden_cosine": HiddenCosine(),
    "dkd": DKD(3.0),
    "dist": Dist(2.0, 1.0, 2.0),
    "standardised_kl": StandardisedKL(),
    "rkd": RKD(),
    "entropy": Entropy(),
    "pkd": PKD(),
    "tinybert_hidden": TinyBertHidden(),
    "tinybert_attention": TinyBertAttention(),
    "minilm": MiniLm(),
    "minilm_v2": MiniLmV2(relation_heads=2),
    "virtual_adversarial": VirtualAdversarial(),  # without a student to ask again it is 0; test_virtual_adversarial.py
}
every_term = pytest.mark.parametrize("name", TERMS)
teacher_terms = pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs])
token_terms = pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs - {"logits"}])


@pytest.fixture(autouse=True)
def built() -> None:
    """Weights that terms own, as before a fit."""
    for term in TERMS.values():
        term.build(said(0), batch(said(1)))


def doubled(value: Tensor) -> Tensor:
    return torch.cat([value, value])


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
    names = sorted(TERMS[name].returns)

    def value(*given: Tensor) -> Tensor:
        return TERMS[name](student._replace(**dict(zip(names, given, strict=True))), batch(teacher))

    assert torch.autograd.gradcheck(value, [getattr(student, field).requires_grad_() for field in names])


@every_term
def test_is_a_scalar_of_float32_for_half_precision(name: str) -> None:
    student, teacher = said(0, torch.bfloat16), said(1, torch.float16)
    value = TERMS[name](student, batch(teacher))
    assert value.shape == ()
    assert value.dtype == torch.float32
    wide = [each(outputs, Tensor.double) for outputs in (student, teacher)]
    torch.testing.assert_close(value.double(), TERMS[name](wide[0], batch(wide[1])), rtol=1e-5, atol=1e-5)


@every_term
def test_keeps_its_precision_under_autocast(name: str) -> None:
    student, teacher = said(0, torch.float32), said(1, torch.float32)
    plain = TERMS[name](student, batch(teacher))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(TERMS[name](student, batch(teacher)), plain, rtol=1e-5, atol=1e-6)


@every_term
def test_does_not_change_when_the_batch_is_doubled(name: str) -> None:
    student, teacher = said(0), said(1)
    once = batch(teacher)
    twice = Batch(*(doubled(field) for field in once[:4]), teacher=each(teacher, doubled))
    torch.testing.assert_close(TERMS[name](each(student, doubled), twice), TERMS[name](student, once))


@every_term
def test_does_not_depend_on_the_order_of_rows(name: str) -> None:
    student, teacher, order = said(0), said(1), torch.tensor([2, 0, 3, 1])
    once = batch(teacher)
    ours, theirs = (each(outputs, lambda field: field[order]) for outputs in (student, teacher))
    mixed = Batch(*(field[order] for field in once[:4]), teacher=theirs)
    torch.testing.assert_close(TERMS[name](ours, mixed), TERMS[name](student, once))


@teacher_terms
def test_changes_when_teacher_rows_are_paired_with_other_students(name: str) -> None:
    student, teacher = said(0), said(1)
    rolled = each(teacher, lambda field: field.roll(1, 0))
    assert not torch.allclose(TERMS[name](student, batch(rolled)), TERMS[name](student, batch(teacher)), rtol=1e-3)


@teacher_terms
def test_is_zero_without_a_slope_where_student_equals_teacher_and_above_elsewhere(name: str) -> None:
    teacher = said(1)
    student = each(teacher, lambda field: field.clone().requires_grad_())
    value = TERMS[name](student, batch(teacher))
    if name == "sequence":  # its own tests say what it is there
        assert value > 0
        return
    grads = torch.autograd.grad(value, list(fields(student).values()), allow_unused=True)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert all(grad.abs().max() < 1e-7 for grad in grads if grad is not None)
    assert TERMS[name](said(0), batch(teacher)) > 1e-3


@teacher_terms
def test_a_batch_without_a_label_teaches_all_the_same(name: str) -> None:
    assert TERMS[name](said(0), batch(said(1), [-1] * ROWS)) > 1e-3


@token_terms
def test_what_stands_in_padding_changes_neither_value_nor_gradient(name: str) -> None:
    teacher = said(1)

    def dirty(outputs: Outputs) -> Outputs:
        spoilt = {}
        for field, axes in TOKEN_AXES.items():
            value = getattr(outputs, field).detach().clone()
            for axis in axes:
                shape = [ROWS, *[1] * (value.ndim - 1)]
                shape[axis] = TOKENS
                value = value.masked_fill(MASK.view(shape) == 0, float("nan"))
            spoilt[field] = value.requires_grad_()
        return outputs._replace(**spoilt)

    one, other = each(said(0), Tensor.requires_grad_), dirty(said(0))
    clean, spoilt = TERMS[name](one, batch(teacher)), TERMS[name](other, batch(dirty(teacher)))
    torch.testing.assert_close(clean, spoilt)
    for field in TERMS[name].returns - {"logits"}:
        grads = [torch.autograd.grad(value, getattr(given, field)) for value, given in ((clean, one), (spoilt, other))]
        torch.testing.assert_close(*(grad[0] for grad in grads))


@token_terms
def test_longer_padding_changes_nothing(name: str) -> None:
    def longer(outputs: Outputs) -> Outputs:
        padded = {}
        for field, axes in TOKEN_AXES.items():
            value = getattr(outputs, field)
            sizes = [0, 0] * value.ndim
            for axis in axes:
                sizes[2 * (value.ndim - 1 - axis) + 1] = 4
            padded[field] = F.pad(value, sizes, value=7.0)
        return outputs._replace(**padded)

    short = batch(said(1))
    mask = F.pad(short.attention_mask, (0, 4))
    long = short._replace(input_ids=mask, attention_mask=mask, teacher=longer(said(1)))
    torch.testing.assert_close(TERMS[name](longer(said(0)), long), TERMS[name](said(0), short))


@pytest.mark.parametrize("name", [name for name, term in TERMS.items() if term.needs - {"logits"} and name != "pkd"])
def test_a_batch_of_padding_gives_zero_with_a_live_graph(name: str) -> None:  # of PKD's first token none is
    value = TERMS[name](each(said(0), Tensor.requires_grad_), batch(said(1))._replace(attention_mask=0 * MASK))
    value.backward()
    assert value.item() == 0


@pytest.mark.parametrize("kind", [KL, DKD, StandardisedKL])
def test_gradient_keeps_its_size_when_the_temperature_grows(kind: type[KL | DKD | StandardisedKL]) -> None:
    # Without T^2 it would fall as 1/T^2: 100 times from T = 10 to T = 100 (IntelLabs/distiller #122, keras-io #870).
    sizes = {}
    for temperature in (1, 10, 100, 1000):
        student = each(said(0), Tensor.requires_grad_)
        kind(temperature)(student, batch(said(1))).backward()
        sizes[temperature] = student.logits.grad.norm().item()
    assert sizes[100] == pytest.approx(sizes[10], rel=0.2)
    assert sizes[1000] == pytest.approx(sizes[100], rel=0.02)
    assert 0.2 < sizes[10] / sizes[1] < 5


@teacher_terms
def test_reads_the_teacher_but_sends_it_no_gradient(name: str) -> None:
    student, teacher = (each(said(seed), Tensor.requires_grad_) for seed in (0, 1))
    TERMS[name](student, batch(teacher)).backward()
    reached = [field.grad is not None and field.grad.abs().sum() > 0 for field in fields(student).values()]
    assert any(reached)
    assert all(field.grad is None for field in fields(teacher).values())


@teacher_terms
def test_refuses_a_batch_without_teacher(name: str) -> None:
    with pytest.raises(UserError, match=rf"'{name}': expected teacher .*none in the batch.*teacher=minilm"):
        TERMS[name](said(0), batch(None))


@teacher_terms
def test_refuses_a_teacher_of_another_shape(name: str) -> None:
    other = said(1, tokens=1, classes=1, width=1, heads=1)  # 1 would broadcast
    with pytest.raises(UserError, match=rf"'{name}': expected (teacher .* of the student's shape|a projection)"):
        TERMS[name](said(0), batch(other))


@every_term
def test_refuses_a_single_class(name: str) -> None:
    loss = Loss({name: TERMS[name], "kl": KL(2.0)}, {name: 1.0, "kl": 1.0})
    with pytest.raises(UserError, match=r"expected at least [23] classes, got 1"):
        loss.check(classes=1, teacher=True)
    loss.check(classes=3, teacher=True)


@pytest.mark.parametrize("name", ["dkd", "dist", "standardised_kl"])
def test_refuses_two_classes_where_it_would_say_nothing(name: str) -> None:
    loss = Loss({name: TERMS[name]}, {name: 1.0})
    with pytest.raises(UserError, match=rf"'{name}': expected at least 3 classes.*got 2.*loss=hybrid"):
        loss.check(classes=2, teacher=True)


@pytest.mark.parametrize("name", ["entropy", "rkd"])
def test_refuses_to_teach_alone_where_any_class_would_do(name: str) -> None:
    with pytest.raises(UserError, match=rf"loss of {name}: expected a term beside it that says which class is right"):
        Loss({name: TERMS[name]}, {name: 1.0}).check(classes=3, teacher=True)


def test_the_outputs_that_are_tried_here_have_every_field() -> None:
    assert set(fields(said(0))) == set(Outputs._fields) - {"answered"}
    assert said(0).all_hidden is not None
    assert said(0).all_hidden.shape[1] == LAYERS + 1
