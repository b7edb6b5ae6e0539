"""Each operation's own backward pass is that of the plain operations, dropout's choices included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kd_lab.models.fused import bf16_ops
from kd_lab.models.fused.bf16_ops import add_norm, attention, linear
from kd_lab.models.fused.dropout import kept


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code in float32, where only an error makes a difference."""
    monkeypatch.setattr(bf16_ops, "BF16", torch.float32)


def agree(mine: Callable[..., Tensor], plain: Callable[..., Tensor], *given: Tensor) -> None:
    """Holds outputs and gradients together."""
    found = []
    for made in (mine, plain):
        leaves = [part.clone().requires_grad_() for part in given]
        torch.manual_seed(7)
        attended = made(*leaves)
        (attended * torch.linspace(-1, 1, attended.numel()).view_as(attended)).sum().backward()
        found.append((attended.detach(), [leaf.grad for leaf in leaves]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def drawn(*shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


def test_layers_that_read_the_same_states_are_one_product() -> None:
    def plain(states: Tensor, *weights: Tensor) -> Tensor:
        pairs = zip(weights[::2], weights[1::2], strict=True)
        return torch.cat([nn.functional.linear(states, weight, bias) for weight, bias in pairs], dim=-1)

    agree(linear, plain, *drawn((2, 5, 6), (4, 6), (4,)))
    agree(linear, plain, *drawn((2, 5, 6), (4, 6), (4,), (8, 6), (8,), (3, 6), (3,)))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("asking", [1, 5])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("long", [99, 5])
def test_attention_is_a_softmax_over_the_tokens_of_a_row(
    dropout: float, asking: int, padded: bool, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bf16_ops, "_LONG", long)
    mask = torch.zeros(2, 1, 1, 5)
    if padded:
        mask[1, ..., 3:] = -1e9

    def plain(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        asks, keys, values = (part.view(2, -1, 3, 4).transpose(1, 2) for part in (queries, keys, values))
        shares = ((asks @ keys.transpose(2, 3)) * 0.5 + mask).softmax(-1)
        keep_mask = kept(torch.Size((6, asking, 5)), dropout, torch.float32)
        if keep_mask is not None:
            shares = shares * keep_mask.view_as(shares) / (1 - dropout)
        return (shares @ values).transpose(1, 2).reshape(2, -1, 12)

    def mine(*parts: Tensor) -> Tensor:
        return attention(*parts, mask if padded else None, 4, 0.5, dropout)

    agree(mine, plain, *drawn((2, asking, 12), (2, 5, 12), (2, 5, 12)))


def test_the_largest_score_of_a_row_may_be_far_from_that_of_another() -> None:
    queries, keys, values = drawn((1, 2, 4), (1, 3, 4), (1, 3, 4))
    queries[0, 0] *= 1e3
    queries[0, 1] *= 1e-3
    attended = attention(queries, keys, values, None, 4, 1.0, 0.0)
    torch.testing.assert_close(attended, (queries @ keys.transpose(1, 2)).softmax(-1) @ values)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_what_is_added_is_thinned_and_the_sum_normalised(dropout: float) -> None:
    def plain(states: Tensor, change: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        keep_mask = kept(change.shape, dropout, torch.float32)
        added = states + (change if keep_mask is None else change * keep_mask / (1 - dropout))
        return nn.functional.layer_norm(added, weight.shape, weight, bias, 1e-5)

    def mine(states: Tensor, change: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return add_norm(states, change, dropout, weight, bias, 1e-5)

    agree(mine, plain, *drawn((2, 5, 8), (2, 5, 8), (8,), (8,)))
