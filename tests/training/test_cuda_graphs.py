"""Recordings of a GPU's passes are bounded; what they give is tested on a GPU, in tests/test_gpu.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from kd_lab.core.types import Batch
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.training import cuda_graphs
from kd_lab.training.cuda_graphs import GraphReplay

BERT = {
    "model_type": "bert", "vocab_size": 50, "pad_token_id": 0, "max_position_embeddings": 64, "num_labels": 3,
    "num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8,
}  # fmt: skip
TOTAL = 10_000_000  # bytes of the GPU


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., GraphReplay]:
    """A Replay on the CPU whose recordings take their gradients' memory from a pretended GPU."""

    def made(free: int) -> GraphReplay:
        one = GraphReplay(EncoderClassifier(BERT).train())
        each = sum(weight.nbytes for weight in one.model.parameters())

        def record(ids: Tensor, mask: Tensor) -> Any:
            return lambda ids, mask: torch.full((len(ids), 3), 7.0)

        monkeypatch.setattr(one, "_record", record)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free - each * len(one._recorded), TOTAL))
        return one

    return made


def asked(one: GraphReplay, tokens: int) -> bool:
    """Whether a batch of that length, coming again and again, is recorded at last; the model answers it if not."""
    ids = torch.ones(2, tokens, dtype=torch.int64)
    batch = Batch(torch.arange(2), ids, torch.ones_like(ids), torch.zeros(2, dtype=torch.int64))
    for _ in range(cuda_graphs._SEEN + 2):
        logits = one(batch).logits
        assert logits.shape == (2, 3)
    return bool((logits == 7.0).all())


def test_no_recording_is_made_that_leaves_too_little_memory(make: Callable[..., GraphReplay]) -> None:
    """Each holds gradients of all weights; without a bound many lengths filled the GPU."""
    one = make(free=TOTAL)
    each = sum(weight.nbytes for weight in one.model.parameters())
    fits = [8 * n for n in range(1, 9)]
    roomy = make(free=int(TOTAL * cuda_graphs._SPARE) + 3 * each)
    assert [asked(roomy, tokens) for tokens in fits] == [True] * 3 + [False] * 5
    assert asked(roomy, 8)  # what is recorded stays


def test_a_gpu_that_others_have_filled_is_left_alone(make: Callable[..., GraphReplay]) -> None:
    assert not asked(make(free=int(TOTAL * cuda_graphs._SPARE)), 8)


def test_there_are_so_many_recordings_at_most(
    make: Callable[..., GraphReplay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "_MOST", 2)
    assert [asked(one := make(free=TOTAL), 8), asked(one, 16), asked(one, 24), asked(one, 16)] == [
        True,
        True,
        False,
        True,
    ]
