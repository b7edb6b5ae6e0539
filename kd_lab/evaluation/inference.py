"""Runs a classifier over a split, without gradients."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import torch

from kd_lab.core.process_tuning import FreedMemory
from kd_lab.core.progress import Advance
from kd_lab.core.types import Batch
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import TokenSplit
from kd_lab.models.saved_model import Classifier

ROWS = 128  # in a forward pass
_TOKENS = 2**17  # in a forward pass on a GPU, which wants more at a time
_HELD = 2**14  # rows whose logits are held
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at a GPU's first product; a fit after it needs this


def autocast(device: str, precision: str) -> torch.autocast:
    """The arithmetic that Lightning's `precision` means, for a forward pass outside a Trainer."""
    kind = torch.float16 if precision.startswith("16") and device == "cuda" else torch.bfloat16
    return torch.autocast(device, kind, enabled="16" in precision)


def inference_batch_size(split: TokenSplit, device: str) -> int:
    """How many rows `predict` gives a model at once."""
    return max(ROWS, _TOKENS // int(split.lengths.max())) if device == "cuda" else ROWS


def predict(
    model: Classifier, split: TokenSplit, pad_id: int, device: str, precision: str, advance: Advance = lambda rows: None
) -> torch.Tensor:
    """Logits (N, C) float32 in the order of the rows.

    Args:
        model: a torch model is expected on `device` and in evaluation mode.
        advance: called with the number of rows done since the last call.
    """
    logits: torch.Tensor | None = None
    for row_ids, answers in predict_in_parts(model, split, pad_id, device, precision, advance):
        if logits is None:
            logits = torch.empty(len(split), answers.shape[1])
        logits[row_ids] = answers
    assert logits is not None  # a split is never empty
    return logits


def predict_in_parts(
    model: Classifier, split: TokenSplit, pad_id: int, device: str, precision: str, advance: Advance = lambda rows: None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(row ids (n,), logits (n, C) float32) of some thousand rows at a time, on the CPU, each row once.

    Args:
        model, advance: as in `predict`.
    """
    held: list[tuple[torch.Tensor, torch.Tensor]] = []
    rows, freed = 0, FreedMemory()
    with autocast(device, precision):  # one for all batches: the weights are cast once
        for batch in BatchLoader(split, inference_batch_size(split, device), pad_id):
            held.append((batch.row_ids, _answer(model, batch, device, precision)))
            rows += len(batch.row_ids)
            advance(len(batch.row_ids))
            freed.bound()
            if rows >= _HELD:  # a GPU is waited for only now
                yield _joined(held)
                held, rows = [], 0
    if held:
        yield _joined(held)


def _joined(parts: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([row_ids for row_ids, _ in parts]), torch.cat([logits for _, logits in parts]).cpu()


def predict_batch(model: Classifier, batch: Batch, device: str, precision: str) -> torch.Tensor:
    """Logits (B, C) float32 on the CPU."""
    return _answer(model, batch, device, precision).cpu()


def _answer(model: Classifier, batch: Batch, device: str, precision: str) -> torch.Tensor:
    """Logits (B, C) float32 where the model is."""
    segments = batch.token_type_ids
    moved = batch._replace(
        input_ids=batch.input_ids.to(device),
        attention_mask=batch.attention_mask.to(device),
        token_type_ids=None if segments is None else segments.to(device),
    )
    with torch.no_grad(), autocast(device, precision):  # under inference_mode weights are cast for every batch
        return model(moved).logits.float()
