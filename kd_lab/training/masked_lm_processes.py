"""Several processes pre-train one model, each on its own rows: this stage's own, none runs the command line again."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.multiprocessing.spawn import ProcessRaisedException

from kd_lab.core.errors import Diverged
from kd_lab.core.progress import Advance
from kd_lab.data.masking import MaskedRows, Masking
from kd_lab.data.packed_corpus import PackedCorpus
from kd_lab.losses.loss import Loss
from kd_lab.models.masked_lm import MaskedLM
from kd_lab.training.masked_lm_loop import learn
from kd_lab.training.optimizer import AdamW
from kd_lab.training.step_trainer import StepTrainer

_START = "start"  # the folder of the model as it starts, within scratch
_LOOK_S = 0.5  # between two looks at how far they are
_DIVERGED = re.compile(r"^kd_lab\.core\.errors\.Diverged: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Work:
    """What each process is told; plain data and objects that travel."""

    corpus: Path  # its folder in the cache
    masking: Masking
    teacher: Path | None  # its folder
    loss: Loss
    optimizer: AdamW
    settings: StepTrainer
    seed: int
    scratch: Path
    head: tuple[str, ...]  # of the model, see `MaskedLM`
    frozen: bool  # whether the head alone learns
    threads: int  # of each process


def learn_together(model: MaskedLM, work: Work, advance: Advance = lambda rows: None) -> None:
    """Has `work.settings.devices` processes train the model; what they made of it lies in `work.scratch`'s checkpoint.

    A process that dies takes the others with it; they die with this one.

    Args:
        model: as it starts, unless there is a checkpoint.
        advance: called with the number of rows done since the last call.

    Raises:
        Diverged: the loss is no longer a number.
    """
    work.scratch.mkdir(parents=True, exist_ok=True)
    for left in work.scratch.glob("meet-*"):  # of processes that were killed
        left.unlink(missing_ok=True)
    model.save(work.scratch / _START)
    world, done = work.settings.devices, mp.get_context("spawn").Value("q", 0)
    meet = work.scratch / f"meet-{uuid4().hex}"
    running = mp.start_processes(  # type: ignore[attr-defined,no-untyped-call]
        _process, (world, work, str(meet), done), nprocs=world, join=False, start_method="spawn"
    )
    told = 0
    try:
        while not running.join(timeout=_LOOK_S):
            now = done.value
            advance(now - told)
            told = now
        advance(done.value - told)
    except ProcessRaisedException as error:
        if found := _DIVERGED.search(str(error)):
            raise Diverged(found[1]) from error
        raise
    finally:
        for process in running.processes:
            if process.is_alive():
                process.terminate()


def _process(rank: int, world: int, work: Work, meet: str, done: Any) -> None:
    torch.set_num_threads(work.threads)
    torch.use_deterministic_algorithms(True)
    device = work.settings.resolve_device_and_precision()[0]
    if device == "cuda":
        torch.cuda.set_device(rank)
    else:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    backend = "nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{meet}", rank=rank, world_size=world)
    try:
        corpus = PackedCorpus.read(work.corpus)
        model = MaskedLM.load(work.scratch / _START, corpus.vocab_size)
        model.head = work.head
        if work.frozen:
            model.freeze_encoder()
        teacher = None if work.teacher is None else MaskedLM.load(work.teacher, corpus.vocab_size)

        def advance(rows: int) -> None:
            if rank == 0:
                done.value += rows

        rows = MaskedRows(corpus, "train", work.masking, work.seed)
        settings = (work.optimizer, work.settings, work.seed)
        learn(model, teacher, work.loss, *settings, rows, work.scratch, rank=rank, world=world, advance=advance)
    finally:
        dist.destroy_process_group()
