"""A saved classifier as a function of arrays, whatever it is made of; one in ONNX is read without torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kd_lab.core.formats import ONNX
from kd_lab.core.types import Batch
from kd_lab.models import saved_model
from kd_lab.serving.onnx_session import MODEL, OnnxSession

Integers = NDArray[np.int64]
Logits = Callable[[Integers, Integers, Integers | None], NDArray[np.float32]]
"""Logits (B, C) of word pieces, mask and segments, each (B, T); no segments means that all are of the first text."""


def read(folder: Path, threads: int | None = None) -> Logits:
    """The classifier in `folder`.

    Args:
        folder: what `classifier.save` wrote.
        threads: that compute an answer, for a torch model those of the whole process; None leaves it to the library.

    Raises:
        UserError: the folder is not one that kd_lab saved, or a file of it is missing or damaged.
    """
    if saved_model.read_card(folder)["format"] == ONNX:
        return OnnxSession(folder / MODEL, threads)
    return _read_torch(folder, threads)


def _read_torch(folder: Path, threads: int | None) -> Logits:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    model = saved_model.load(folder)

    def logits(pieces: Integers, mask: Integers, segments: Integers | None) -> NDArray[np.float32]:
        """As `Logits` says."""
        unused = torch.zeros(len(pieces), dtype=torch.int64)  # no forward pass reads row_ids and labels
        types = None if segments is None else torch.from_numpy(segments)
        with torch.inference_mode():
            batch = Batch(unused, torch.from_numpy(pieces), torch.from_numpy(mask), unused, types)
            values: NDArray[np.float32] = model(batch).logits.float().numpy()
        return values

    return logits
