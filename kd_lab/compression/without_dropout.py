"""Trains without dropout: a model that is to say again what it said without it must not learn to shout over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """Meanwhile nothing in the model is dropped, though it is in training mode.

    Under dropout a model is less sure than in use. One that is trained to repeat its own answers of before, which were
    given without, becomes surer in use than it was: it no longer says of a text out of scope that it is.
    """
    found: list[tuple[nn.Module, str]] = [(module, "p") for module in model.modules() if isinstance(module, nn.Dropout)]
    found += [(module, "dropout") for module in model.modules() if isinstance(module, nn.RNNBase)]
    before = [getattr(module, name) for module, name in found]
    for module, name in found:
        setattr(module, name, 0.0)
    try:
        yield
    finally:
        for (module, name), share in zip(found, before, strict=True):
            setattr(module, name, share)
