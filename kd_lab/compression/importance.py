"""How much the loss would change if a part of a model said nothing, to first order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kd_lab.compression.context import CompressionContext
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.models.base import TorchClassifier


def labelled(context: CompressionContext, rows: int, size: int, where: str) -> Iterator[Batch]:
    """Rows of train with a label, drawn at random, up to `size` a batch; fewer than `rows` only where there are.

    Args:
        where: the step that asks, for the error.

    Raises:
        UserError: train has no labelled row.
    """
    left = rows
    for batch in context.sample(len(context.tokens.split("train")), size):
        chosen = batch.labelled.nonzero().flatten()[:left]
        left -= len(chosen)
        if len(chosen):
            yield _rows(batch, chosen)
        if left == 0:
            return
    if left == rows:
        raise UserError(
            where,
            expected="labelled rows in train, to see which parts matter",
            got="none",
            cure="Leave this step out, or use drop_layers or low_rank_embedding, which need no labels.",
        )


def taylor_of_inputs(
    model: TorchClassifier, batches: Iterator[Batch], modules: Sequence[nn.Module], units: int
) -> Tensor:
    """The importance of what the modules read: sum over rows of |x . dL/dx|, for each part x of their input.

    L is the row's cross-entropy to its gold label. 0 where the part could be zero without effect. For attention heads,
    x being the head's output over all tokens, it is the score of Michel et al. (arXiv:1905.10650, section 4.1).

    Args:
        model: in evaluation mode; stays as it was.
        batches: rows with labels.
        modules: of `model`, each called once in a forward pass on (B, T, units * n).
        units: number of parts into which the last axis is cut.

    Returns:
        (modules, units) float64.
    """
    heard: dict[int, Tensor] = {}

    def listen(place: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            heard[place] = given[0]

        return keep

    scores = torch.zeros(len(modules), units, dtype=torch.float64)
    hooks = [module.register_forward_pre_hook(listen(place)) for place, module in enumerate(modules)]
    try:
        for batch in batches:
            loss = _loss(model, batch)
            inputs = [heard[place] for place in range(len(modules))]
            for place, (values, grad) in enumerate(zip(inputs, torch.autograd.grad(loss, inputs), strict=True)):
                product = (values * grad).detach().double()
                product = product.view(*product.shape[:2], units, -1)  # (B, T, units, n)
                scores[place] += product.sum(dim=(1, 3)).abs().sum(dim=0)
    finally:
        for hook in hooks:
            hook.remove()
    return scores


def taylor_of_columns(
    model: TorchClassifier, batches: Iterator[Batch], readers: Sequence[Sequence[str]]
) -> list[Tensor]:
    """The importance of units by the matrices that read them: sum over rows of |sum of w * dL/dw over what reads it|.

    The same score as `taylor_of_inputs`: all uses of a unit h by a matrix W add up to h . dL/dh = sum_i W_ij dL/dW_ij.
    It counts what an LSTM's unit says to its own layer at the next token, too, which no input of a module shows.

    Args:
        model: in evaluation mode; stays as it was.
        batches: one labelled row each, since gradients of weights add up over a batch.
        readers: for each group of units, the names of all matrices that read them; unit j is column j of each.

    Returns:
        for each group (units,) float64.
    """
    weights = dict(model.named_parameters())
    names = sorted({name for group in readers for name in group})
    scores = [torch.zeros(weights[group[0]].shape[1], dtype=torch.float64) for group in readers]
    for batch in batches:
        grads = torch.autograd.grad(_loss(model, batch), [weights[name] for name in names])
        change = {
            name: (weights[name] * grad).detach().double().sum(dim=0) for name, grad in zip(names, grads, strict=True)
        }
        for number, group in enumerate(readers):
            scores[number] += torch.stack([change[name] for name in group]).sum(dim=0).abs()
    return scores


def most_important(scores: Tensor, count: int) -> Tensor:
    """The numbers of the `count` highest of (units,) scores, ascending; the first of equals."""
    return scores.argsort(descending=True, stable=True)[:count].sort().values


def share_kept(scores: Tensor, kept: Tensor) -> float:
    """The share of all importance that the kept units have, rounded for a note; 1 where nothing matters."""
    total = float(scores.sum())
    return round(float(scores[kept].sum()) / total, 4) if total else 1.0


def _loss(model: TorchClassifier, batch: Batch) -> Tensor:
    """Cross-entropy summed over rows, so that a row's gradient does not depend on the rows beside it."""
    with torch.enable_grad():
        logits = model(batch).logits
        if batch.multi_label:
            return F.binary_cross_entropy_with_logits(logits, batch.labels.to(logits), reduction="sum")
        return F.cross_entropy(logits, batch.labels, reduction="sum")


def _rows(batch: Batch, chosen: Tensor) -> Batch:
    segments = None if batch.token_type_ids is None else batch.token_type_ids[chosen]
    return Batch(
        batch.row_ids[chosen], batch.input_ids[chosen], batch.attention_mask[chosen], batch.labels[chosen], segments
    )
