"""The teacher's logits for train: kd_lab's `logits_of` into a fresh cache beside the bare model on the same batches.

The bare side has its batches ready and keeps nothing; ours makes them, joins the logits by row, writes and hashes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from experiments.speed import result
from experiments.speed.bare import inference_batches
from experiments.speed.command_line import ask, parser
from experiments.speed.prepared import prepare
from experiments.speed.ready_teacher import bare, ours
from experiments.speed.share import Share
from experiments.speed.student import OVERRIDES, QUICK
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.core.types import Batch


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `teacher_outputs/result.json`, prints."""
    asked = ask(parser("teacher_outputs", __doc__, rounds=7), arguments)
    prepared = prepare([*OVERRIDES, *(QUICK if asked.quick else ()), *asked.overrides])
    prepared.guide.to(prepared.device)
    rows, batches = inference_batches(prepared.tokens, prepared.device)
    on = (prepared.device, prepared.precision)

    def answer(batch: Batch) -> torch.Tensor:
        return prepared.guide(batch).logits

    bare(answer, batches if prepared.device == "cuda" else batches[-1:], *on)  # kernels for the longest rows
    jobs = {
        "ours": partial(ours, prepared.teacher.fitted.fingerprint, prepared.guide, prepared.tokens, on),
        "bare": partial(bare, answer, batches, *on),
    }
    share = Share(prepared, asked.quick)
    keep_freed_memory()  # as the command does
    measured = asked.by_turns(jobs)
    result.write(
        asked,
        [measured],
        {"ours / bare": measured.ratio("rows_per_s", "ours", "bare")},
        {**prepared.settings(), "rows_in_a_pass": rows},
        figures=share.of_teacher(measured.medians()),
    )


if __name__ == "__main__":
    main()
