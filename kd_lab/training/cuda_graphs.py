"""Forward and backward passes on a GPU recorded once for each shape, and replayed: the processor has little to say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kd_lab.core.types import Batch, Outputs
from kd_lab.models.encoder import EncoderClassifier

_MULTIPLE = 8  # tokens to which a batch is padded further: few shapes, and rows that the GPU's units like
_SEEN = 3  # batches of a shape that run as ever before it is recorded
_MOST = 64  # shapes that are recorded: each holds gradients of all weights for itself
_SPARE = 0.25  # share of the GPU's memory that a recording must leave free, for whoever else computes there
_WARM = 3  # runs before a recording, in which libraries set themselves up


class GraphReplay:
    """Calls an encoder in training mode as it would call itself, from recordings where a shape comes again and again.

    With small batches a GPU waits for the processor, which starts some thousand operations a step. A recording (a CUDA
    graph) starts them all at once. It draws the same numbers for dropout, since recording puts the generator back.

    Recordings keep their memory: there are `_MOST` at most, and none is begun that would leave less than `_SPARE` of
    the GPU's memory free. Shapes beyond them run as ever.

    Args:
        model: on a GPU, its weights where they stay; a gradient lies in the recording until the next pass, so there
            must be an update after each batch.
    """

    def __init__(self, model: EncoderClassifier) -> None:
        self.model = model
        self._counts: Counter[tuple[int, int]] = Counter()
        self._recorded: dict[tuple[int, int], _Recording] = {}
        self._pool: Any = None

    def __call__(self, batch: Batch) -> Outputs:
        """As the model's `forward`."""
        rows, tokens = batch.input_ids.shape
        length = -(-tokens // _MULTIPLE) * _MULTIPLE
        if not self._can(batch, length):
            outputs: Outputs = self.model(batch)
            return outputs
        filler = (0, length - tokens)
        ids = F.pad(batch.input_ids, filler, value=self.model.config["pad_token_id"])
        mask = F.pad(batch.attention_mask, filler)
        shape = rows, length
        self._counts[shape] += 1
        if shape not in self._recorded:
            if self._counts[shape] <= _SEEN or not self._has_room():
                padded: Outputs = self.model(batch._replace(input_ids=ids, attention_mask=mask))
                return padded
            self._recorded[shape] = self._record(ids, mask)
        return Outputs(self._recorded[shape](ids, mask))

    def _can(self, batch: Batch, length: int) -> bool:
        plain = self.model.training and self.model.returns == {"logits"} and batch.token_type_ids is None
        return plain and length <= self.model.net.config.max_position_embeddings

    def _has_room(self) -> bool:
        """Whether one more recording may be made; its gradients are as large as the weights."""
        if len(self._recorded) >= _MOST:
            return False
        free, total = torch.cuda.mem_get_info()
        needed = sum(weight.nbytes for weight in self.model.parameters() if weight.requires_grad)
        return free - needed >= _SPARE * total

    def _record(self, ids: Tensor, mask: Tensor) -> _Recording:
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        drawn = torch.cuda.get_rng_state()
        kind, on = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
        with torch.autocast("cuda", kind, enabled=on, cache_enabled=False):
            recording = _Recording(self.model, ids, mask, self._pool)
        torch.cuda.set_rng_state(drawn)
        return recording


class _Recording:
    """The passes of one shape, with a place for what goes in and what comes out.

    They are recorded with stand-ins for the weights, which lie in the same memory: the weights themselves would go on
    as a part of the recording's stream, and each of their gradients would wait for it.
    """

    def __init__(self, model: EncoderClassifier, ids: Tensor, mask: Tensor, pool: Any) -> None:
        self.ids, self.mask = ids.clone(), mask.clone()
        named = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.weights = list(named.values())
        stand_ins = {name: weight.detach().requires_grad_() for name, weight in named.items()}
        batch = Batch(self.ids, self.ids, self.mask, self.ids)  # nobody reads row ids and labels

        def say() -> Tensor:
            logits: Tensor = torch.func.functional_call(model, stand_ins, (batch,)).logits
            return logits

        def learn(logits: Tensor, pushed: Tensor) -> Sequence[Tensor | None]:
            return torch.autograd.grad(logits, list(stand_ins.values()), pushed, allow_unused=True)

        with torch.cuda.stream(_stream_behind_this()):
            for _ in range(_WARM):
                learn(logits := say(), torch.ones_like(logits))
            del logits
        torch.cuda.synchronize()
        self.say, self.learn = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.say, pool=pool):
            logits = say()
        self.logits, self.pushed = logits.detach(), torch.zeros_like(logits)
        with torch.cuda.graph(self.learn, pool=pool):
            self.gradients = learn(logits, self.pushed)

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, C), from which gradients flow into the weights."""
        logits: Tensor = _Replayed.apply(self, ids, mask, *self.weights)  # type: ignore[no-untyped-call]
        return logits


class _Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: _Recording, ids: Tensor, mask: Tensor, *weights: Tensor) -> Tensor:
        ctx.recording = recording
        recording.ids.copy_(ids)
        recording.mask.copy_(mask)
        recording.say.replay()
        return recording.logits.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, pushed: Tensor) -> tuple[Tensor | None, ...]:
        recording = ctx.recording
        recording.pushed.copy_(pushed)
        recording.learn.replay()
        return None, None, None, *(None if one is None else one.detach() for one in recording.gradients)


def _stream_behind_this() -> torch.cuda.Stream:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    return stream
