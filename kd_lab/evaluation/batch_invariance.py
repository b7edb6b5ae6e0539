"""Whether a classifier's answer to a row depends on the rows beside it or on how far the row is padded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from kd_lab.core.progress import Advance
from kd_lab.core.types import Batch
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens, TokenSplit
from kd_lab.evaluation.inference import predict_batch
from kd_lab.evaluation.judging import answers
from kd_lab.models.saved_model import Classifier

BATCHES = (8, 64)  # rows of any length together
MORE_TOKENS = 16  # by which a row is padded
BUDGET_S = 30.0  # after so long a way of feeding takes no further batch
NOISE = 1e-4  # a logit may move so far with the order of float32 sums: no model is independent of its batch below it


@dataclass(frozen=True)
class BatchDependence:
    """What becomes of the answers when rows are fed in another way than alone and without padding.

    Args:
        rows: how many were compared.
        changed: how many of them got another label.
        largest: the largest difference of a logit.
    """

    rows: int
    changed: int
    largest: float

    @property
    def matters(self) -> bool:
        """Whether labels change by more than rounding."""
        return self.changed > 0 and self.largest > NOISE


def sample(split: TokenSplit, limit: int) -> NDArray[np.int64]:
    """At most `limit` rows of a split, drawn once and for all, in an order in which lengths are mixed."""
    return np.random.default_rng(0).permutation(len(split))[:limit]


def logits_one_by_one(
    model: Classifier, tokens: Tokens, rows: NDArray[np.int64], advance: Advance = lambda rows: None
) -> torch.Tensor:
    """Logits (n, C) float32 of the first n of `rows` of test, each asked alone and without padding.

    n is less than the number of rows where `BUDGET_S` did not suffice.

    Args:
        tokens: the data set as the model reads it.
        advance: called with the number of rows done since the last call.
    """
    source = BatchLoader(tokens.split("test"), 1, tokens.pad_id)
    return _answers(model, (source.batch(row) for row in rows[:, None]), advance)


def batch_dependence(
    model: Classifier,
    tokens: Tokens,
    rows: NDArray[np.int64],
    logits: torch.Tensor,
    advance: Advance = lambda rows: None,
    thresholds: NDArray[np.float64] | None = None,
) -> dict[str, BatchDependence]:
    """How other ways of feeding change the answers: in batches of rows of unlike lengths, and alone but padded.

    Args:
        tokens: the data set as the model reads it.
        rows: (n,) of test.
        logits: (n, C) logits, what `logits_one_by_one` gave for them.
        advance: called with the number of rows done since the last call.
        thresholds: (C,) of the labels, where a row may bear several.

    Returns:
        way -> what changes, such as "batch of 8" and "padded to 128 tokens".
    """
    split = tokens.split("test")

    def together(size: int) -> Iterator[Batch]:
        source = BatchLoader(split, size, tokens.pad_id)
        return (source.batch(rows[start : start + size]) for start in range(0, len(rows), size))

    def padded(more: int) -> Iterator[Batch]:
        return (pad_batch(batch, more, tokens.max_tokens, tokens.pad_id) for batch in together(1))

    ways: dict[str, Iterable[Batch]] = {f"batch of {size}": together(size) for size in BATCHES}
    ways[f"padded by {MORE_TOKENS} tokens"] = padded(MORE_TOKENS)
    ways[f"padded to {tokens.max_tokens} tokens"] = padded(tokens.max_tokens)
    found = {}
    for way, batches in ways.items():
        other = _answers(model, batches, advance)
        before = logits[: len(other)]
        changed = int((answers(tokens, other, thresholds) != answers(tokens, before, thresholds)).sum())
        found[way] = BatchDependence(len(other), changed, float((other - before).abs().max()))
    return found


def pad_batch(batch: Batch, more: int, longest: int, pad_id: int) -> Batch:
    """The batch with up to `more` further places of padding, `longest` in all at most."""
    room = max(0, min(more, longest - batch.input_ids.shape[1]))
    segments = batch.token_type_ids
    return batch._replace(
        input_ids=F.pad(batch.input_ids, (0, room), value=pad_id),
        attention_mask=F.pad(batch.attention_mask, (0, room)),
        token_type_ids=None if segments is None else F.pad(segments, (0, room)),
    )


def _answers(model: Classifier, batches: Iterable[Batch], advance: Advance) -> torch.Tensor:
    start, logits = time.perf_counter(), []
    for batch in batches:
        logits.append(predict_batch(model, batch, "cpu", "32-true"))
        advance(len(logits[-1]))
        if time.perf_counter() - start > BUDGET_S:
            break
    return torch.cat(logits)
