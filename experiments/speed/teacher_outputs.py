"""The teacher's logits for train: kd_lab's `logits_of` into a fresh cache beside the bare model on the same batches.

The bare side has its batches ready and keeps nothing; ours makes them, joins the logits by row, writes and hashes them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from experiments.speed import result
from experiments.speed.bare import moved
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import Prepared, prepare
from experiments.speed.rounds import Figures, by_turns
from experiments.speed.share import Share
from experiments.speed.student import OVERRIDES, QUICK
from kd_lab.core.cache import Cache
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.core.types import Batch
from kd_lab.data.loader import BatchLoader
from kd_lab.evaluation.inference import autocast, inference_batch_size
from kd_lab.training.teacher_outputs import logits_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `teacher_outputs/result.json`, prints."""
    asked = ask(parser("teacher_outputs", __doc__, rounds=7), arguments)
    prepared = prepare([*OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides])
    rows = inference_batch_size(prepared.tokens.split("train"), prepared.device)
    prepared.guide.to(prepared.device)
    batches = [
        moved(batch, prepared.device)
        for batch in BatchLoader(prepared.tokens.split("train"), rows, prepared.tokens.pad_id)
    ]
    _bare(prepared, batches if prepared.device == "cuda" else batches[-1:])  # kernels for the longest rows
    jobs = {"ours": partial(_ours, prepared), "bare": partial(_bare, prepared, batches)}
    share = Share(prepared, asked.quick)
    keep_freed_memory()  # as the command does
    measured = by_turns(jobs, asked.rounds, asked.again, asked.benchmark, asked.within)
    result.write(
        asked,
        [measured],
        {"ours / bare": measured.ratio("rows_per_s", "ours", "bare")},
        {**prepared.settings(), "rows_in_a_pass": rows},
        figures=share.of_teacher(measured.medians()),
    )


def _ours(prepared: Prepared) -> Figures:
    torch.use_deterministic_algorithms(False)
    fitted, on = prepared.teacher.fitted.fingerprint, (prepared.device, prepared.precision)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outputs = logits_of(fitted, lambda: prepared.guide, prepared.tokens, "train", on, Cache(Path(folder)))
        return _figures(len(outputs), time.perf_counter() - start)


def _bare(prepared: Prepared, batches: Sequence[Batch]) -> Figures:
    torch.use_deterministic_algorithms(False)
    start = time.perf_counter()
    with torch.no_grad(), autocast(prepared.device, prepared.precision):
        for batch in batches:
            outputs = prepared.guide(batch).logits
        outputs.cpu()  # a GPU has done all of them by then
    return _figures(sum(len(batch.labels) for batch in batches), time.perf_counter() - start)


def _figures(rows: int, seconds: float) -> Figures:
    return {"rows_per_s": rows / seconds, "seconds": seconds, "rows": rows}


if __name__ == "__main__":
    main()
