"""What a fit changes of the whole process's settings is put back when it ends."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "CUBLAS_WORKSPACE_CONFIG")  # that Lightning sets


@contextmanager
def process_settings_kept() -> Iterator[None]:
    """Puts back, also after an error, what belongs to the caller; as `with` or above a function.

    That is: torch's deterministic algorithms, its filling of uninitialized memory and cuDNN's two flags; the state of
    the random generators of Python, NumPy and torch, on every GPU in use; and the environment variables of Lightning.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    fills = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    drawn, drawn_by_numpy = random.getstate(), np.random.get_state()
    variables = {name: os.environ.get(name) for name in _VARIABLES}
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=gpus):
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.utils.deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        random.setstate(drawn)
        np.random.set_state(drawn_by_numpy)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
