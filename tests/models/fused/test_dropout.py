"""Quick dropout drops as many, scales as much, lets gradients through alike, and follows the seed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kd_lab.models.encoder import Encoder
from kd_lab.models.fused.dropout import QuickDropout, use_quick_dropout


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_drops_a_share_of_p_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    rows = 400_003  # no multiple of four
    said = QuickDropout(p)(torch.ones(rows, dtype=dtype))
    assert said.dtype == dtype
    assert set(said.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).to(dtype).item()}
    sd = (p * (1 - p) / rows) ** 0.5
    assert abs(float((said == 0).double().mean()) - p) < 4 * sd + 2**-16


def test_each_of_four_neighbours_is_drawn_for_itself() -> None:
    torch.manual_seed(0)
    kept = (QuickDropout(0.5)(torch.ones(200_000)) > 0).double().view(-1, 4)
    together = torch.corrcoef(kept.T) - torch.eye(4, dtype=torch.float64)
    assert float(together.abs().max()) < 0.02
    assert float((kept.mean(dim=0) - 0.5).abs().max()) < 0.01


def test_gradients_pass_where_numbers_did() -> None:
    torch.manual_seed(0)
    given = torch.randn(3, 5, 7, requires_grad=True)
    said = QuickDropout(0.4)(given)
    said.sum().backward()
    torch.testing.assert_close(given.grad, torch.where(said == 0, 0.0, 1 / 0.6))


def test_the_same_seed_drops_the_same_and_a_model_in_use_drops_nothing() -> None:
    layer, given = QuickDropout(0.2), torch.randn(50, 9)
    said = []
    for _ in range(2):
        torch.manual_seed(3)
        said.append(layer(given))
    assert torch.equal(*said)
    assert not torch.equal(layer(given), said[0])
    assert torch.equal(layer.eval()(given), given)
    assert torch.equal(QuickDropout(0.0)(given), given)
    assert float(QuickDropout(1.0)(given).abs().max()) == 0


def test_every_dropout_of_a_model_is_replaced_with_its_own_probability() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.3), nn.Dropout(0.7)))
    use_quick_dropout(model)
    assert [module.p for module in model.modules() if isinstance(module, QuickDropout)] == [0.3, 0.7]


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_encoders_use_it(family: str, toy_tokens, own_cache) -> None:
    from kd_lab.models.spec import BuildContext

    context = BuildContext(3, toy_tokens.vocab_size, 0, "tokens", toy_tokens.sentences, own_cache)
    model = Encoder("tiny", family, 2, width=16, heads=2, feed_forward=24, init="random", dropout=0.2).build(context)
    kinds = {type(module) for module in model.modules() if isinstance(module, nn.Dropout)}
    assert kinds == {QuickDropout}
