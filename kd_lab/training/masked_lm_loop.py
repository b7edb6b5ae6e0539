"""The loop of pre-training: a model learns to guess masked pieces, and goes on bit for bit where it was cut off.

By hand and not by Lightning, which would go on from a whole epoch alone, and whose processes run the command line
again. Optimizer, schedule, clipping and the checks of a checkpoint are those of fine-tuning.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kd_lab.core.errors import Diverged
from kd_lab.core.progress import Advance
from kd_lab.core.types import Batch, Outputs
from kd_lab.data.masking import MaskedBatch, MaskedRows
from kd_lab.losses.loss import Loss
from kd_lab.models.masked_lm import MaskedLM
from kd_lab.training.checkpointing import LAST, StraightToDisk, checkpoint
from kd_lab.training.optimizer import AdamW, clip
from kd_lab.training.step_trainer import StepTrainer

_POINTS = 50  # of the history, at most
_GLANCE = 20  # updates on a GPU between two looks whether the loss is a number


def learn(
    model: MaskedLM,
    teacher: MaskedLM | None,
    loss: Loss,
    optimizer: AdamW,
    settings: StepTrainer,
    seed: int,
    rows: MaskedRows,
    scratch: Path,
    *,
    rank: int = 0,
    world: int = 1,
    advance: Advance = lambda rows: None,
) -> dict[str, Any]:
    """Trains the model in place, from `scratch`'s checkpoint on where there is one; the last says that it has ended.

    Update u learns from the next `settings.rows_an_update` rows of the order; dropout in it is drawn anew from (seed,
    u, rank), so nothing depends on which process ran the updates before.

    Args:
        teacher: judges each batch as it is masked; None where the loss asks none.
        rank, world: which of how many processes this is; the others call this too, joined by `torch.distributed`.
        advance: called with the number of rows of each update, of all processes.

    Returns:
        history (some fifty entries: update, loss, its terms), seconds.

    Raises:
        Diverged: the loss is no longer a number.
    """
    name, precision = settings.resolve_device_and_precision()
    device = f"cuda:{rank}" if name == "cuda" else name
    total, per_update = settings.updates(len(rows)), settings.rows_an_update
    model.to(device).train()
    if teacher is not None:
        teacher.to(device).eval()
    stepper = optimizer.build(model, model.head)
    schedule = torch.optim.lr_scheduler.LambdaLR(stepper, lambda step: optimizer.factor(step, max(total, 1)))
    begun, before, history = 0, 0.0, _History(world)
    if (earlier := checkpoint(scratch, best=False)) is not None:
        model.load_state_dict(earlier["model"])
        stepper.load_state_dict(earlier["optimizer"])
        schedule.load_state_dict(earlier["schedule"])
        history.load_state_dict(earlier["history"], device)
        begun, before = earlier["update"], earlier["seconds"]
        advance(begun * per_update)
    called: nn.Module = model
    if world > 1:
        called = DistributedDataParallel(model, device_ids=[rank] if name == "cuda" else None)
    since, every = time.perf_counter(), max(1, total // _POINTS)
    batches = _batches(rows, settings, range(begun, total), rank, world, device)
    for update in range(begun, total):
        torch.manual_seed(_drawn(seed, update, rank))
        for turn in range(settings.accumulate):
            batch, last = next(batches), turn == settings.accumulate - 1
            with (
                nullcontext() if last or world == 1 else called.no_sync(),  # type: ignore[operator]
                torch.autocast(name, torch.bfloat16, enabled=precision == "bf16-mixed", cache_enabled=name == "cuda"),
            ):
                said = _asked(called(batch.input_ids, batch.places, batch.attention_mask), loss.returns)
                size, parts = loss(said, _joined(batch, teacher, loss.needs))
                (size / settings.accumulate).backward()
            history.add(size, parts)
        done = update + 1
        if name != "cuda" or done % _GLANCE == 0 or done == total or done % settings.checkpoint_every == 0:
            _refuse_no_number(update, size, parts)
        if settings.clip_norm:
            clip(stepper, settings.clip_norm)
        stepper.step()
        schedule.step()
        stepper.zero_grad()
        if done % every == 0 or done == total:
            history.close(done)
        if rank == 0 and (done % settings.checkpoint_every == 0 or done == total):
            state = {
                "model": model.state_dict(),
                "optimizer": stepper.state_dict(),
                "schedule": schedule.state_dict(),
                "history": history.state_dict(),
                "update": done,
                "seconds": before + time.perf_counter() - since,
            }
            StraightToDisk().save_checkpoint(state, scratch / LAST)
        advance(per_update)
    return {"history": history.points, "seconds": before + time.perf_counter() - since}


class _History:
    """Means of the loss and its terms over the updates between two points, of all processes."""

    def __init__(self, world: int) -> None:
        self.points: list[dict[str, float]] = []
        self._world, self._names = world, ["loss"]
        self._sums: Tensor | None = None
        self._count = 0

    def add(self, size: Tensor, parts: Mapping[str, Tensor]) -> None:
        sizes = torch.stack([size.detach(), *parts.values()]).double()
        self._names = ["loss", *parts]
        self._sums = sizes if self._sums is None else self._sums + sizes
        self._count += 1

    def close(self, update: int) -> None:
        assert self._sums is not None  # an update has a batch
        if self._world > 1:
            dist.all_reduce(self._sums)
        means = (self._sums / (self._count * self._world)).tolist()
        self.points.append({"update": float(update), **dict(zip(self._names, means, strict=True))})
        self._sums, self._count = None, 0

    def state_dict(self) -> dict[str, Any]:
        return {"points": self.points, "names": self._names, "sums": self._sums, "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any], device: str) -> None:
        self.points, self._names, self._count = list(state["points"]), list(state["names"]), state["count"]
        self._sums = None if state["sums"] is None else state["sums"].to(device, copy=True)


def _batches(
    rows: MaskedRows, settings: StepTrainer, updates: range, rank: int, world: int, device: str
) -> Iterator[MaskedBatch]:
    """This process's batches, on the device; while one is learned from, the next is masked."""
    size, turns = settings.batch_size, settings.accumulate
    firsts = (
        update * settings.rows_an_update + (turn * world + rank) * size for update in updates for turn in range(turns)
    )
    with ThreadPoolExecutor(1) as ahead:
        coming: deque[Future[MaskedBatch]] = deque()
        for first in firsts:
            coming.append(ahead.submit(rows.batch, np.arange(first, first + size)))
            if len(coming) > 1:
                yield coming.popleft().result().to(device)
        while coming:
            yield coming.popleft().result().to(device)


def _asked(said: Outputs, fields: frozenset[str]) -> Outputs:
    return said if "hidden" in fields else said._replace(hidden=None)


def _joined(batch: MaskedBatch, teacher: MaskedLM | None, needs: frozenset[str]) -> Batch:
    """Masked pieces as rows with the right piece as their class, and what the teacher says of them."""
    said = None
    if teacher is not None and needs:
        with torch.no_grad():
            said = _asked(teacher(batch.input_ids, batch.places, batch.attention_mask), needs)
    real = torch.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask
    return Batch(batch.places, batch.input_ids, real, batch.labels, teacher=said)


def _drawn(seed: int, update: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, update, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _refuse_no_number(update: int, size: Tensor, parts: Mapping[str, Tensor]) -> None:
    if torch.isfinite(size):
        return
    terms = ", ".join(f"{name} = {float(part)}" for name, part in parts.items() if not torch.isfinite(part))
    blame = terms or f"the sum ({float(size)}) of finite terms"
    raise Diverged(f"the loss is not finite at update {update}: {blame}. Lower the learning rate.")
