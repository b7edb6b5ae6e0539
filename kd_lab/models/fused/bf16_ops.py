"""The parts of an encoder's layer in bf16 on the CPU, with backward passes of their own: few operations, and large.

Weights are float32, and so are their gradients, the softmax and the sums within a normalisation; all else is bf16, as
under autocast. But autocast casts each weight, and each gradient back, apart, keeps the states between layers in
float32, draws dropout's random numbers one by one, and takes a softmax over few tokens word by word.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kd_lab.models.fused.dropout import kept

BF16 = torch.bfloat16
_LONG = 64  # tokens from which torch's own attention is faster; it knows no dropout on the CPU


def linear(states: Tensor, *weights: Tensor) -> Tensor:
    """One product for layers that read the same states.

    Args:
        states: (..., H) bf16.
        weights: matrix (units, H) and bias (units,) of each layer, float32.

    Returns:
        (..., sum of units) bf16.
    """
    return _Linear.apply(states, *weights)  # type: ignore[no-any-return, no-untyped-call]


def attention(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, size: int, scaling: float, dropout: float
) -> Tensor:
    """What each head's values say to those who ask.

    Args:
        queries: (B, Q, U) bf16, the heads one after the other.
        keys, values: (B, T, U) bf16.
        mask: (B, 1, 1, T) float32 that is added to the scores; no gradient.
        size: units of one head.
        scaling: of the scores.
        dropout: probability with which a share of attention is left out.

    Returns:
        (B, Q, U) bf16.
    """
    if dropout or keys.shape[1] < _LONG:
        return _Attention.apply(queries, keys, values, mask, size, scaling, dropout)  # type: ignore[no-any-return, no-untyped-call]
    asks, keys, values = (part.view(*part.shape[:2], -1, size).transpose(1, 2) for part in (queries, keys, values))
    added = None if mask is None else mask.to(BF16)
    attended = nn.functional.scaled_dot_product_attention(asks, keys, values, added, scale=scaling)
    return attended.transpose(1, 2).flatten(2)


def add_norm(states: Tensor, change: Tensor, dropout: float, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """LayerNorm(states + dropout(change)).

    Args:
        states, change: (..., H) bf16.
        dropout: probability.
        weight, bias: (H,) float32.
    """
    return _AddNorm.apply(states, change, dropout, weight, bias, eps)  # type: ignore[no-any-return, no-untyped-call]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, *weights: Tensor) -> Tensor:
        matrices, biases = weights[::2], weights[1::2]
        ctx.units, width = [len(matrix) for matrix in matrices], states.shape[-1]
        joined = torch.empty(sum(ctx.units), width, dtype=BF16)
        for part, matrix in zip(torch.split(joined, ctx.units), matrices, strict=True):
            part.copy_(matrix)
        flat = states.reshape(-1, width)
        ctx.save_for_backward(flat, joined)
        bias = biases[0] if len(biases) == 1 else torch.cat(biases)
        return torch.addmm(bias.to(BF16), flat, joined.t()).view(*states.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *asked: Tensor) -> tuple[Tensor, ...]:
        flat, joined = ctx.saved_tensors
        (whole,) = asked
        grad = whole.reshape(-1, len(joined))
        matrices = torch.split((grad.t() @ flat).float(), ctx.units)
        biases = torch.split(grad.sum(0).float(), ctx.units)
        each = [part for pair in zip(matrices, biases, strict=True) for part in pair]
        return (grad @ joined).view(*whole.shape[:-1], -1), *each


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        mask: Tensor | None,
        size: int,
        scaling: float,
        dropout: float,
    ) -> Tensor:
        rows = len(queries)
        asks, keys, values = (_apart(part, size) for part in (queries, keys, values))
        scores = torch.bmm(asks, keys.transpose(1, 2)).float().mul_(scaling)
        if mask is not None:
            scores.view(rows, -1, *scores.shape[1:]).add_(mask)
        scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        shares = scores.div_(scores.sum(-1, keepdim=True))
        dropped, keep_mask = shares.to(BF16), kept(shares.shape, dropout, BF16)
        if keep_mask is not None:
            dropped = dropped * keep_mask.mul_(1 / (1 - dropout))
        ctx.rows, ctx.size, ctx.scaling = rows, size, scaling
        ctx.save_for_backward(asks, keys, values, shares, keep_mask, dropped)
        return _together(torch.bmm(dropped, values), rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *asked: Tensor) -> tuple[Tensor | None, ...]:
        asks, keys, values, shares, keep_mask, dropped = ctx.saved_tensors
        grad = _apart(asked[0], ctx.size)
        of_values = torch.bmm(dropped.transpose(1, 2), grad)
        of_shares = torch.bmm(grad, values.transpose(1, 2))
        if keep_mask is not None:
            of_shares.mul_(keep_mask)
        weighted = shares * of_shares
        of_scores = weighted.sub_(shares * weighted.sum(-1, keepdim=True)).mul_(ctx.scaling).to(BF16)
        found = torch.bmm(of_scores, keys), torch.bmm(of_scores.transpose(1, 2), asks), of_values
        return *(_together(part, ctx.rows) for part in found), None, None, None, None


def _apart(joined: Tensor, size: int) -> Tensor:
    """(B, T, U) -> (B * heads, T, size)."""
    rows, length, _ = joined.shape
    return joined.view(rows, length, -1, size).transpose(1, 2).reshape(-1, length, size)


def _together(apart: Tensor, rows: int) -> Tensor:
    """(B * heads, T, size) -> (B, T, U)."""
    return apart.view(rows, -1, *apart.shape[1:]).transpose(1, 2).reshape(rows, apart.shape[1], -1)


class _AddNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: Tensor, change: Tensor, dropout: float, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        ctx.scale, keep_mask = 1 / (1 - dropout), kept(change.shape, dropout, BF16)
        added = states + change if keep_mask is None else torch.add(states, change * keep_mask, alpha=ctx.scale)
        out, mean, spread = torch.native_layer_norm(added, weight.shape, weight, bias, eps)
        ctx.save_for_backward(added, mean, spread, weight, bias, keep_mask)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *asked: Tensor) -> tuple[Tensor | None, ...]:
        added, mean, spread, weight, bias, keep_mask = ctx.saved_tensors
        grad, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
            asked[0].contiguous(), added, weight.shape, mean, spread, weight, bias, [True, True, True]
        )
        of_change = grad if keep_mask is None else (grad * keep_mask).mul_(ctx.scale)
        return grad, of_change, None, of_weight, of_bias, None
