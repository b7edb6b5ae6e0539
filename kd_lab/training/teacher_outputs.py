"""A fitted model's outputs for a split, computed once and joined to batches by row id; or live, for each batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from kd_lab.core.cache import Cache
from kd_lab.core.cache_check import Damage
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.progress import Advance
from kd_lab.core.types import Batch, Outputs
from kd_lab.data.loader import BatchLoader
from kd_lab.data.npy_file import NpyFile
from kd_lab.data.tokenized import Tokens, TokenSplit
from kd_lab.evaluation.inference import autocast, predict_batch, predict_in_parts
from kd_lab.models.base import TorchClassifier

_CHECKED_ROWS = 8
_SAMPLE = 2**16  # rows by which the logits' spread is known
_NEAR_BYTES = 2**30  # of logits that a GPU holds as a whole
_verified: set[Path] = set()  # entries of which this process has computed or recomputed rows


@dataclass(frozen=True)
class CachedTeacherOutputs:
    """A teacher's logits, looked up by row id.

    Args:
        logits: (N, C) float32, memory-mapped or on a GPU.
        partial: whether rows are NaN, of which the teacher says nothing.
    """

    logits: torch.Tensor
    partial: bool = False

    @property
    def device(self) -> torch.device:
        """Where they lie: they are best asked for when the batch lies there too."""
        return self.logits.device

    def __call__(self, batch: Batch) -> Outputs:
        """Logits (B, C) on the batch's device."""
        logits = self.logits[batch.row_ids.to(self.device)].to(batch.input_ids.device)
        return Outputs(logits, answered=~logits[:, 0].isnan() if self.partial else None)

    @property
    def answered(self) -> np.ndarray | None:
        """(N,) bool, rows of which the teacher says something; None where it does of all."""
        return (~self.logits[:, 0].isnan()).cpu().numpy() if self.partial else None

    def to_device(self, device: str) -> CachedTeacherOutputs:
        """The same on the device that learns from them, where they are small beside its memory."""
        small = device != "cpu" and self.logits.nbytes <= _NEAR_BYTES
        return CachedTeacherOutputs(self.logits.to(device), self.partial) if small else self


@dataclass(frozen=True)
class LiveTeacherOutputs:
    """A teacher that runs for every batch; for what is too large to cache, such as hidden states."""

    device: ClassVar[None] = None  # wherever the batch is
    model: TorchClassifier
    precision: str

    def __call__(self, batch: Batch) -> Outputs:
        """All that the model `returns`, without gradients."""
        device = batch.input_ids.device
        self.model.eval().to(device)
        with torch.no_grad(), autocast(device.type, self.precision):
            outputs: Outputs = self.model(batch)
        return outputs


def fingerprint_parts(fit: str, tokens: str, split: str, precision: str) -> dict[str, Any]:
    """All that cached outputs are made from: a model's fit, the rows that it judges, and how."""
    code = code_hash("kd_lab.training.teacher_outputs")  # that of the model's class is in the fit's name
    return {"fit": fit, "tokens": tokens, "split": split, "fields": ["logits"], "precision": precision, "code": code}


def logits_of(
    fit: str,
    load: Callable[[], TorchClassifier],
    tokens: Tokens,
    split: str,
    on: tuple[str, str],
    cache: Cache,
    advance: Advance = lambda rows: None,
) -> torch.Tensor:
    """The fitted model's logits (N, C) for a split, from the cache or computed now, verified when read.

    Args:
        fit: the model's fingerprint.
        load: gives the model, in evaluation mode; called only when it is needed.
        on: (device, precision).

    Raises:
        UserError: the cached rows are not those of this model and split, though they were made anew.
    """
    rows, (device, precision) = tokens.split(split), on
    named = fingerprint_parts(fit, tokens.fingerprint, split, precision)

    def make(draft: Path) -> None:
        parts = predict_in_parts(load().to(device), rows, tokens.pad_id, device, precision, advance)
        _write(parts, draft / "logits.npy")
        np.save(draft / "row_ids.npy", np.arange(len(rows)))
        _verified.add(cache.folder("outputs", named))

    anew = False
    while True:
        folder = cache.build("outputs", named, make)
        logits = torch.from_numpy(np.load(folder / "logits.npy", mmap_mode="c", allow_pickle=False))
        flaw = None if folder in _verified else _mismatch(folder, logits, load().to(device), rows, tokens.pad_id, on)
        if flaw is None:
            _verified.add(folder)
            return logits
        if anew:
            cure = "Check this machine's memory and disk, or choose another place, e.g. paths.cache=/other/disk."
            raise UserError(str(folder), expected=flaw.expected, got=f"{flaw.got}, though made anew", cure=cure)
        cache.set_aside("outputs", named, flaw)
        anew = True


def _mismatch(
    folder: Path, logits: torch.Tensor, model: TorchClassifier, rows: TokenSplit, pad_id: int, on: tuple[str, str]
) -> Damage | None:
    """Recomputes a few rows: a cache paired with the wrong rows is not learned from."""
    ids = np.load(folder / "row_ids.npy", mmap_mode="r", allow_pickle=False)
    if len(logits) != len(rows) or not _counts_up(ids, len(rows)):
        return Damage(folder, "this teacher's logits for these rows", "other row ids")
    some = np.random.default_rng().permutation(len(rows))[:_SAMPLE]
    chosen, seen = np.sort(some[:_CHECKED_ROWS]), logits[np.sort(some)]
    now = predict_batch(model, BatchLoader(rows, len(chosen), pad_id).batch(chosen), *on)
    worst = float((now - logits[chosen]).abs().max())
    share, rounding = (0.15, 2**-7) if "16" in on[1] else (0.01, 1e-5)  # rounding differs with a row's batch
    tolerance = share * float(seen.std(dim=0).mean()) + rounding * float(seen.abs().max())
    if worst <= tolerance:
        return None
    expected = f"this teacher's logits for these rows (within {tolerance:.3g})"
    return Damage(folder, expected, f"a difference of {worst:.3g} in rows recomputed at random")


def _counts_up(ids: np.ndarray, rows: int) -> bool:
    """Whether these are the numbers of so many rows, in order."""
    starts = range(0, rows, _SAMPLE)
    return len(ids) == rows and all(
        np.array_equal(ids[start : start + _SAMPLE], np.arange(start, min(start + _SAMPLE, rows))) for start in starts
    )


def _write(parts: Iterable[tuple[torch.Tensor, torch.Tensor]], path: Path) -> None:
    """Row ids (n,) and logits (n, C), part by part, as an array (N, C) in the order of the ids."""
    with ExitStack() as stack:
        file: NpyFile | None = None
        for ids, logits in parts:
            file = file or stack.enter_context(NpyFile(path, np.float32, tuple(logits.shape[1:])))
            file.put(ids.numpy(), logits.numpy())
