"""How well a model guesses masked pieces of text that it has not learned from."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from kd_lab.data.masking import MaskedRows, Masking
from kd_lab.data.packed_corpus import PackedCorpus
from kd_lab.models.masked_lm import MaskedLM

_SEED = 0  # of the masks, so that all models guess the same pieces
_BATCH = 32  # rows


def perplexity(model: MaskedLM, corpus: PackedCorpus, masking: Masking, device: str) -> dict[str, float]:
    """What the model says of the corpus's held-out rows, in float32; it is left on the device in evaluation mode.

    Returns:
        `nll`: mean of -log p(piece) over the pieces to be guessed, in nats; `perplexity`: exp of it, as large as the
        vocabulary where all pieces are equally likely; `accuracy`: share of these pieces that are the likeliest;
        `pieces`: how many they are.
    """
    rows = MaskedRows(corpus, "held_out", masking, _SEED)
    model.to(device).eval()
    total, right, pieces = 0.0, 0, 0
    for start in range(0, len(rows), _BATCH):
        batch = rows.batch(np.arange(start, min(start + _BATCH, len(rows))), in_order=True).to(device)
        with torch.no_grad():
            logits = model(batch.input_ids, batch.places, batch.attention_mask).logits.float()
            total += float(F.cross_entropy(logits, batch.labels, reduction="sum"))
            right += int((logits.argmax(-1) == batch.labels).sum())
        pieces += len(batch.labels)
    nll = total / max(pieces, 1)
    return {"perplexity": math.exp(min(nll, 300.0)), "nll": nll, "accuracy": right / max(pieces, 1), "pieces": pieces}
