"""What a model may need to know of its surroundings when it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from kd_lab.core.cache import Cache
from kd_lab.models.base import TorchClassifier


def _none() -> np.ndarray:
    return np.empty(0, np.int64)


class BuildContext(NamedTuple):
    """The data and the teacher that a model is built for."""

    classes: int  # C
    vocab_size: int  # number of word pieces
    pad_id: int  # the word piece that pads
    tokens: str  # fingerprint of the tokenised training split
    sentences: Callable[[], Iterable[list[str]]]  # the training split's word pieces (ids as decimal strings)
    cache: Cache  # where a model keeps what it makes once, such as word vectors
    teacher: TorchClassifier | None = None  # the fitted teacher, where the model starts from its weights
    teacher_fingerprint: str | None = None  # its name
    tokenizer: Path | None = None  # the tokenizer.json that made the pieces
    labels: Callable[[], np.ndarray] = _none  # (N,) int64, the training split's labels, -1 for a row without


class ModelSpec(Protocol):
    """How to build a model; constructor arguments are its options."""

    @property
    def name(self) -> str:
        """What results call it."""

    @property
    def kind(self) -> type[TorchClassifier]:
        """The class that `build` makes."""

    @property
    def starts_from_teacher(self) -> bool:
        """Whether `build` reads the fitted teacher's weights."""

    # Optional: `reads_with`, the checkpoint whose tokenizer makes the pieces that the weights know, or None;
    # `longest_input`, tokens that the model has positions for; `shape`, the `ModelShape` that a loss is held against
    # before any fit; `refuse_new_pieces`, see `Static`; `fits_itself`, true where `build` fits it from labels alone and
    # no epoch follows.

    def build(self, context: BuildContext) -> TorchClassifier:
        """A model in training mode, its random weights drawn from torch's global generator."""
