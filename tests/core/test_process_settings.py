"""A fit leaves the process of whoever calls it as it was."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kd_lab.__main__ import command
from kd_lab.core import process_tuning
from kd_lab.core.cache import Cache
from kd_lab.core.process_settings import process_settings_kept
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import inference
from kd_lab.evaluation.inference import predict
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.training.fit import FitSpec, Fitted, fit, recover
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer

SPEC = FitSpec(
    model=LstmAttention(embedding=8, hidden=8, layers=1, init="random"),
    loss=WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0}),
    optimizer=AdamW(head_lr=0.02),
    trainer=Trainer(max_epochs=1, batch_size=16, precision="32-true", device="cpu"),
)
NAMES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG")


def state() -> dict[str, Any]:
    """What belongs to the caller."""
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warns": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fills": torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "python": random.getstate(),
        "numpy": [str(part) for part in np.random.get_state()],
        "torch": torch.random.get_rng_state().tolist(),
        "variables": {name: os.environ.get(name) for name in NAMES},
        "signal": signal.getsignal(signal.SIGINT),
    }


def fitted(tokens: Tokens, root: Path, spec: FitSpec = SPEC, **more: Any) -> Fitted:
    return fit(spec, tokens, None, Cache(root), {"labels": tokens.classes}, {}, **more)


@pytest.fixture(params=["the library's own", "others"])
def before(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The caller's state before a fit: as torch starts, or the other way round."""
    with process_settings_kept():
        other = request.param == "others"
        torch.use_deterministic_algorithms(other, warn_only=other)
        torch.utils.deterministic.fill_uninitialized_memory = not other  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = other
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
            if other:
                monkeypatch.setenv(name, "0")
        yield state()


def test_after_a_fit_and_a_recovery_the_callers_settings_are_back(
    before: dict[str, Any], toy_tokens: Tokens, tmp_path: Path
) -> None:
    made = fitted(toy_tokens, tmp_path / "cache")
    assert state() == before
    with process_settings_kept():
        model = made.load()
    recover(SPEC, None, tmp_path / "scratch", model, toy_tokens, epochs=1, lr_scale=0.5)
    assert state() == before


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_a_fit_that_was_ended_they_are_back_too(
    error: type[BaseException], before: dict[str, Any], toy_tokens: Tokens, tmp_path: Path
) -> None:
    def watch(epoch: int, logged: object) -> None:
        raise error("no more")

    with pytest.raises(error):
        fitted(toy_tokens, tmp_path / "cache", observe=watch)
    assert state() == before


def test_a_fit_does_not_depend_on_what_the_caller_has_set(toy_tokens: Tokens, tmp_path: Path) -> None:
    first = fitted(toy_tokens, tmp_path / "one").load()
    torch.manual_seed(77)
    second = fitted(toy_tokens, tmp_path / "other").load()
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))


def test_fits_and_outputs_give_back_what_batches_leave(
    toy_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(process_tuning, "KEPT", -(2**60))  # whatever is kept is too much
    monkeypatch.setattr(process_tuning, "_trim", lambda: told.append("given back"))
    monkeypatch.setattr(inference, "inference_batch_size", lambda *_: 2)
    model = fitted(toy_tokens, tmp_path / "cache", replace(SPEC, trainer=replace(SPEC.trainer, batch_size=2))).load()
    of_the_fit = len(told)
    assert of_the_fit >= len(toy_tokens.split("train")) // 2 // 16 > 0
    predict(model, toy_tokens.split("train"), toy_tokens.pad_id, "cpu", "32-true")
    assert len(told) - of_the_fit == len(toy_tokens.split("train")) // 2 // 16


def test_only_the_command_has_its_process_keep_freed_memory(
    toy_tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    class Libc:
        @staticmethod
        def mallopt(option: int, value: int) -> None:
            told.append("mallopt")

    monkeypatch.setattr(process_tuning.ctypes, "CDLL", lambda name: Libc)
    model = fitted(toy_tokens, tmp_path / "cache", replace(SPEC, seed=1)).load()
    predict(model, toy_tokens.split("test"), toy_tokens.pad_id, "cpu", "32-true")
    assert told == []
    command(["help"])
    assert told
