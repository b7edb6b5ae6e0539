"""A bare PyTorch loop with the arithmetic of kd_lab's fit and nothing else: the limit of what a framework may cost."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from experiments.speed.loss import distillation
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.core.types import Batch
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation.inference import inference_batch_size
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.training.active_embedding import ActiveEmbedding, only_active_rows
from kd_lab.training.cuda_graphs import GraphReplay
from kd_lab.training.optimizer import AdamW, clip
from kd_lab.training.settings import Trainer


def train(
    model: TorchClassifier,
    tokens: Tokens,
    logits: torch.Tensor,
    loss: tuple[float, float],
    optimizer: AdamW,
    settings: Trainer,
    seed: int,
    advance: Callable[[int], None],
    *,
    record: bool = True,
) -> None:
    """Trains the model in place for `settings.max_epochs` epochs, on the batches and with the dropout of kd_lab's fit.

    Args:
        logits: the teacher's on train, (N, C), where it is trained or on the CPU.
        loss: (alpha, temperature).
        advance: called with the rows of each batch.
        record: whether an encoder's passes are recorded on a GPU, as ours are.
    """
    keep_freed_memory()
    seen = [tokens.split(name).token_ids for name in ("train", "validation")]
    with only_active_rows(model, seen, tokens.pad_id):
        device, precision = settings.resolve_device_and_precision()
        rows = BatchLoader(tokens.split("train"), settings.batch_size, tokens.pad_id, seed=seed)
        updates = math.ceil(len(rows) / settings.accumulate) * settings.max_epochs
        step = optimizer.build(model.train().to(device), model.head)
        for part in model.modules():
            if isinstance(part, ActiveEmbedding):
                part.follow(step)
        schedule = torch.optim.lr_scheduler.LambdaLR(step, lambda done: optimizer.factor(done, updates))
        recorded = record and device == "cuda" and isinstance(model, EncoderClassifier) and settings.accumulate == 1
        call = GraphReplay(model) if recorded else model
        for epoch in range(settings.max_epochs):
            torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint32)[0]))
            left = len(rows) % settings.accumulate  # batches of the epoch's last update, where these are fewer
            for number, made in enumerate(rows, start=1):
                batch = moved(made, device)
                taught = logits[batch.row_ids.to(logits.device)].to(device)
                enabled, cached = precision == "bf16-mixed", device == "cuda"
                with torch.autocast(device, torch.bfloat16, enabled=enabled, cache_enabled=cached):
                    said = call(batch).logits
                    total = distillation(said, batch.labels, taught, *loss)
                together = left if number > len(rows) - left else settings.accumulate
                (total / together).backward()  # type: ignore[no-untyped-call]
                if number % settings.accumulate == 0 or number == len(rows):
                    if settings.clip_norm:
                        clip(step, settings.clip_norm)
                    step.step()
                    schedule.step()
                    step.zero_grad()
                advance(len(batch.labels))
    model.cpu().eval()


def moved(batch: Batch, device: str) -> Batch:
    """The batch on the device."""
    return Batch(*(None if part is None else part.to(device) for part in batch))


def inference_batches(tokens: Tokens, device: str) -> tuple[int, list[Batch]]:
    """(rows in a pass over train, its batches on the device), as `predict` makes them."""
    train = tokens.split("train")
    rows = inference_batch_size(train, device)
    return rows, [moved(batch, device) for batch in BatchLoader(train, rows, tokens.pad_id)]
