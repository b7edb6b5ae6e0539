"""Forward and backward passes on a GPU recorded once for each shape, and replayed: the processor has little to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kd_lab.models.encoder import EncoderClassifier
from kd_lab.types import Batch, Outputs

_MULTIPLE = 8  # tokens to which a batch is padded further: few shapes, and rows that the GPU's units like
_SEEN = 3  # batches of a shape that run as ever before it is recorded


class Replay:
    """Calls an encoder in training mode as it would call itself, from recordings where a shape comes again and again.

    With small batches a GPU waits for the processor, which starts some thousand operations a step. A recording (a CUDA
    graph) starts them all at once. It draws the same numbers for dropout, since recording puts the generator back.

    Args:
        model: on a GPU, its weights where they stay; a gradient lies in the recording until the next pass, so there
            must be an update after each batch.
    """

    def __init__(self, model: EncoderClassifier) -> None:
        self.model = model
        self._counts: Counter[tuple[int, int]] = Counter()
        self._recorded: dict[tuple[int, int], Callable[[Tensor, Tensor], Tensor]] = {}
        self._pool: Any = None

    def __call__(self, batch: Batch) -> Outputs:
        """As the model's `forward`."""
        rows, tokens = batch.input_ids.shape
        length = -(-tokens // _MULTIPLE) * _MULTIPLE
        if not self._can(batch, length):
            said: Outputs = self.model(batch)
            return said
        filler = (0, length - tokens)
        ids = F.pad(batch.input_ids, filler, value=self.model.config["pad_token_id"])
        mask = F.pad(batch.attention_mask, filler)
        shape = rows, length
        self._counts[shape] += 1
        if shape not in self._recorded:
            if self._counts[shape] <= _SEEN:
                padded: Outputs = self.model(batch._replace(input_ids=ids, attention_mask=mask))
                return padded
            self._recorded[shape] = self._record(ids, mask)
        return Outputs(self._recorded[shape](ids, mask))

    def _can(self, batch: Batch, length: int) -> bool:
        plain = self.model.training and self.model.returns == {"logits"} and batch.token_type_ids is None
        return plain and length <= self.model.net.config.max_position_embeddings

    def _record(self, ids: Tensor, mask: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        drawn = torch.cuda.get_rng_state()
        kind, on = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
        with torch.autocast("cuda", kind, enabled=on, cache_enabled=False):
            recorded: Any = torch.cuda.make_graphed_callables(
                _Logits(self.model), (ids.clone(), mask.clone()), allow_unused_input=True, pool=self._pool
            )
        torch.cuda.set_rng_state(drawn)
        return recorded  # type: ignore[no-any-return]


class _Logits(nn.Module):
    """The model from tensors to a tensor."""

    def __init__(self, model: EncoderClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, T) twice -> logits (B, C)."""
        rows = torch.empty(0, dtype=torch.int64)  # read by nobody
        logits: Tensor = self.model(Batch(rows, ids, mask, rows)).logits
        return logits
