"""A student asked once more about a batch, its word vectors moved."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.models.base import TorchClassifier
from kd_lab.models.word_embedding import embedding_module, has_word_embedding


class PerturbedPass:
    """A pass through a model on moved word vectors, with the dropout of the pass that `remember` came before.

    Args:
        model: the student.

    Raises:
        UserError: it is of a class whose word vectors are not known.
    """

    def __init__(self, model: TorchClassifier) -> None:
        if not has_word_embedding(model):
            raise UserError(
                "loss",
                expected="an encoder or a student of word vectors, which virtual_adversarial moves",
                got=type(model).__name__,
                cure="Choose another loss, e.g. loss=entropy.",
            )
        self._model = model
        self._states: tuple[Tensor, Tensor | None] = (torch.get_rng_state(), None)

    def remember(self) -> None:
        """Keeps what the next pass draws its dropout from."""
        device = next(self._model.parameters()).device
        self._states = torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def __call__(self, batch: Batch, move: Callable[[Tensor], Tensor]) -> Outputs:
        """What the model says of the batch where `move` is done to its word vectors (B, T, H)."""
        own, of_device = self._states
        device = next(self._model.parameters()).device
        with torch.random.fork_rng([device] if of_device is not None else []):
            torch.set_rng_state(own)
            if of_device is not None:
                torch.cuda.set_rng_state(of_device, device)
            hook = embedding_module(self._model).register_forward_hook(lambda _module, _given, vectors: move(vectors))
            try:
                outputs: Outputs = self._model(batch)
            finally:
                hook.remove()
        return outputs
