"""RKD: loops over pairs and triplets in numpy, what moves nothing, and points that are the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from scipy.special import huber
from torch import Tensor
from two_models import pair, taught

from kd_lab.core.errors import UserError
from kd_lab.core.types import Outputs
from kd_lab.losses.term import rkd
from kd_lab.losses.term.rkd import RKD


def size(student: Tensor, teacher: Tensor, **options: float) -> Tensor:
    return RKD(**options)(Outputs(student), taught(teacher))


def cosines(points: np.ndarray) -> np.ndarray:
    """[j, i, k]: at j, between i and k."""
    rows = len(points)
    found = np.zeros((rows, rows, rows))
    for i, j, k in np.ndindex(rows, rows, rows):
        one, other = points[i] - points[j], points[k] - points[j]
        if i != j != k:
            found[j, i, k] = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return found


def test_distances_agree_with_scipy() -> None:
    one, other = (squareform(pdist(points) / pdist(points).mean()) for points in map(Tensor.numpy, pair()))
    expected = huber(1.0, one - other).mean()
    assert size(*pair(), angles=0.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("at_once", [1, 100, 2**22])
def test_angles_agree_with_a_loop_however_many_are_computed_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rkd, "_AT_ONCE", at_once)
    one, other = (cosines(points.numpy()) for points in pair())
    expected = huber(1.0, one - other).mean()
    assert size(*pair(), distances=0.0, angles=1.0).item() == pytest.approx(expected)


def test_weights_are_weights() -> None:
    parts = size(*pair(), angles=0.0).item(), size(*pair(), distances=0.0, angles=1.0).item()
    assert size(*pair(), distances=3.0, angles=0.5).item() == pytest.approx(3 * parts[0] + 0.5 * parts[1])


def test_moved_turned_and_scaled_points_have_the_same_relations() -> None:
    student, teacher = pair(1)
    turn = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64)).Q
    assert size(3 * teacher @ turn + 5, teacher).item() == pytest.approx(0, abs=1e-12)
    assert size(0.5 * student @ turn - 1, teacher).item() == pytest.approx(size(student, teacher).item())


def test_points_that_are_the_same_have_no_distance_no_angle_and_no_slope_between_them() -> None:
    student, teacher = pair(2)
    student = torch.cat([student, student[:2]]).requires_grad_()
    value = size(student, torch.cat([teacher, teacher[:2]]))
    (grad,) = torch.autograd.grad(value, student)
    assert value.isfinite()
    assert grad.isfinite().all()
    assert size(torch.zeros(3, 4), torch.zeros(3, 4)).item() == 0


def test_a_batch_of_one_row_gives_zero_with_a_live_graph() -> None:
    student = torch.randn(1, 4, requires_grad=True)
    value = size(student, torch.randn(1, 4))
    value.backward()
    assert value.item() == 0


def test_some_weight_must_be_above_zero() -> None:
    with pytest.raises(UserError, match=r"loss\.terms\.rkd: expected distances or angles above 0"):
        RKD(distances=0.0, angles=0.0)
