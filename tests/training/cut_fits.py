"""Fits that are cut off, and whether two fits ended bit for bit alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from kd_lab.training.checkpointing import History
from kd_lab.training.fit import Fitted
from kd_lab.training.masked_lm_fit import PretrainedMaskedLM


class Cut(BaseException):
    """What ends a fit in the place of a kill."""


@contextmanager
def cut_in_second_epoch() -> Iterator[None]:
    """The fit within is cut off after the first batch of its second epoch."""
    after = History.on_train_batch_end

    def kill(self: History, trainer: Any, *given: Any) -> None:
        if trainer.current_epoch == 1:
            raise Cut
        after(self, trainer, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "on_train_batch_end", kill)
        with pytest.raises(Cut):
            yield


def assert_same(one: Fitted | PretrainedMaskedLM, two: Fitted | PretrainedMaskedLM) -> None:
    """Weights, history and what is measured at the end."""
    first, second = (load_file(each.model / "model.safetensors") for each in (one, two))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    for figure in ("history", "after"):
        assert one.about().get(figure) == two.about().get(figure)
