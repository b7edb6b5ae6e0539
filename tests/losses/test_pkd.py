"""PKD: a loop over rows and layers, and which layers count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_field import ROWS, batch, said

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.losses.term.pkd import PKD


@pytest.mark.parametrize(("which", "matched"), [("every", [2, 4]), ("last", [4, 5])])
def test_agrees_with_a_loop_over_the_layers_that_the_paper_matches(which: str, matched: list[int]) -> None:
    student, teacher = said(0, layers=3), said(1, layers=6)
    ours, theirs = student.all_hidden.numpy(), teacher.all_hidden.numpy()
    each = [
        np.sum((one / np.linalg.norm(one) - other / np.linalg.norm(other)) ** 2)
        for row in range(ROWS)
        for layer, match in zip([1, 2], matched, strict=True)
        for one, other in [(ours[row, layer, 0], theirs[row, match, 0])]
    ]
    assert PKD(which)(student, batch(teacher)).item() == pytest.approx(np.mean(each))


def test_worked_values() -> None:
    # (1, 0) against (0, 2), at right angles: |(1, -1)|^2 = 2. Against (-3, 0): |(2, 0)|^2 = 4.
    def of(x: float, y: float) -> Outputs:
        return Outputs(torch.zeros(1, 2), all_hidden=torch.tensor([x, y]).repeat(1, 3, 1, 1))

    one = Batch(*[torch.ones(1, 1, dtype=torch.int64)] * 4)
    assert PKD()(of(1, 0), one._replace(teacher=of(0, 2))).item() == pytest.approx(2)
    assert PKD()(of(1, 0), one._replace(teacher=of(-3, 0))).item() == pytest.approx(4)


def test_embeddings_the_last_layer_and_other_tokens_do_not_count() -> None:
    student, teacher = said(0, layers=3), said(1, layers=6)
    asked = student.all_hidden.requires_grad_()
    (grad,) = torch.autograd.grad(PKD()(student, batch(teacher)), asked)
    reached = grad.abs().sum((0, 3)) > 0
    assert reached.nonzero().tolist() == [[1, 0], [2, 0]]


def test_another_width_or_depth_is_refused_with_the_loss_that_bridges_it() -> None:
    shape = ModelShape(frozenset(Outputs._fields), 8, layers=3)
    PKD().check_models("pkd", shape, shape)
    with pytest.raises(UserError, match=r"'pkd': expected a student of the teacher's width 16, got 8.*loss=tinybert"):
        PKD().check_models("pkd", shape, shape._replace(width=16))
    for layers in (1, 4):
        told = f"'pkd': expected a student of 2 to 3 layers, as its teacher has, got {layers}"
        with pytest.raises(UserError, match=told):
            PKD().check_models("pkd", shape._replace(layers=layers), shape)
