"""Masked-LM distillation: pieces a second of `kd-lab pretrain`'s loop, beside a bare PyTorch loop on the same batches.

Student and teacher are those of the command (distilbert_mini, MiniLM), on WikiText-2; overrides are its own, such as
corpus=text corpus.path=FILE. The bare side has its masked batches ready, the loss written out by hand, AdamW with the
same groups, and no history, checkpoint or look at whether the loss is a number. Both end with the same weights, up to
rounding. Packing, and reading the models, are timed on no side.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from experiments.speed import result, stopwatch
from experiments.speed.command_line import ask, parser
from experiments.speed.peak import peak_mib
from experiments.speed.rounds import Figures
from experiments.speed.stopwatch import Stopwatch
from kd_lab.cli.pretrain import composed
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.data.masking import MaskedBatch, MaskedRows
from kd_lab.data.packed_corpus import pack
from kd_lab.models.masked_lm import MaskedLM
from kd_lab.pipeline.pretrain_plan import PretrainPlan
from kd_lab.training.masked_lm_loop import learn
from kd_lab.training.masked_lm_start import MaskedLMSpec, start
from kd_lab.training.optimizer import clip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `pretrain/result.json`, prints."""
    made = parser("pretrain", __doc__, rounds=5)
    made.add_argument("--steps", type=int, help="updates in a turn, 10")
    made.add_argument("--threads", type=int, help="of torch; all cores")
    asked = ask(made, arguments)
    steps = asked.number("steps", 10, 2)
    if asked.options.threads:
        torch.set_num_threads(asked.options.threads)
    plan = PretrainPlan(composed(asked.overrides))
    plan.check()
    assert plan.teacher is not None, "the loss that is written out by hand has one"
    corpus = pack(plan.corpus, plan.tokenizer, plan.cache)
    teacher, _ = start(plan.teacher, corpus, None, plan.cache, plan.tokenizer.path)
    student, _ = start(plan.student, corpus, teacher, plan.cache, plan.tokenizer.path)
    spec = replace(plan.student, trainer=replace(plan.student.trainer, max_steps=steps, max_epochs=1))
    device, precision = spec.trainer.resolve_device_and_precision()
    keep_freed_memory()  # as the command does
    torch.use_deterministic_algorithms(True)  # as in the command
    torch.utils.deterministic.fill_uninitialized_memory = False
    teacher.to(device).eval()
    rows = MaskedRows(corpus, "train", spec.masking, spec.seed)
    size = spec.trainer.batch_size
    batches = [rows.batch(np.arange(at * size, (at + 1) * size)).to(device) for at in range(steps)]
    tokens = steps * size * corpus.tokens
    ends: dict[str, MaskedLM] = {}
    jobs = {
        "ours": partial(_ours, student, teacher, spec, rows, tokens, ends),
        "bare": partial(_bare, student, teacher, spec, batches, tokens, ends),
    }
    measured = asked.by_turns(jobs)
    pairs = zip(ends["ours"].parameters(), ends["bare"].parameters(), strict=True)
    apart = max(float((one.detach() - other.detach()).abs().max()) for one, other in pairs)
    result.write(
        asked,
        [measured],
        stopwatch.ratios(measured, "tokens"),
        {
            "corpus": plan.corpus.name,
            "student": spec.model.name,
            "teacher": plan.teacher.model.name,
            "steps": steps,
            "rows_in_a_batch": size,
            "tokens_in_a_row": corpus.tokens,
            "device": device,
            "precision": precision,
            "threads": torch.get_num_threads(),
            "weights_apart": apart,
        },
        figures={"peak_mib": peak_mib()},
        notes=[
            stopwatch.NOTE,
            "peak_mib is of the process that holds the teacher, the student and one trained model of each side",
        ],
    )


def _ours(
    student: MaskedLM, teacher: MaskedLM, spec: MaskedLMSpec, rows: MaskedRows, tokens: int, ends: dict[str, MaskedLM]
) -> Figures:
    model = ends["ours"] = copy.deepcopy(student)
    with tempfile.TemporaryDirectory() as folder:
        clock = Stopwatch()
        settings = replace(spec.trainer, checkpoint_every=10**6)
        told = learn(model, teacher, spec.loss, spec.optimizer, settings, spec.seed, rows, Path(folder), advance=clock)
        assert told["history"]
    return clock.figures("tokens", tokens)


def _bare(
    student: MaskedLM,
    teacher: MaskedLM,
    spec: MaskedLMSpec,
    batches: Sequence[MaskedBatch],
    tokens: int,
    ends: dict[str, MaskedLM],
) -> Figures:
    device, precision = spec.trainer.resolve_device_and_precision()
    model = ends["bare"] = copy.deepcopy(student).to(device).train()
    optimizer = spec.optimizer.build(model, model.head)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: spec.optimizer.factor(step, len(batches)))
    weights, temperature = spec.loss.weights, spec.loss.terms["kl"].temperature
    clock = Stopwatch()
    for number, batch in enumerate(batches):
        torch.manual_seed(int(np.random.SeedSequence([spec.seed, number, 0]).generate_state(1, np.uint64)[0] >> 1))
        enabled = precision == "bf16-mixed"
        with torch.autocast(device, torch.bfloat16, enabled=enabled, cache_enabled=device == "cuda"):
            logits, hidden, *_ = model(batch.input_ids, batch.places)
            with torch.no_grad():
                theirs, states, *_ = teacher(batch.input_ids, batch.places)
            logits, theirs = logits.float(), theirs.float()
            guessed = F.log_softmax(logits / temperature, -1), F.log_softmax(theirs / temperature, -1)
            kl = temperature**2 * F.kl_div(*guessed, log_target=True, reduction="batchmean")
            apart = 1 - F.cosine_similarity(hidden.float(), states.float(), dim=-1)
            total = weights["kl"] * kl + weights["cross_entropy"] * F.cross_entropy(logits, batch.labels)
            total = total + weights["hidden_cosine"] * apart.mean()
            total.backward()
        if spec.trainer.clip_norm:
            clip(optimizer, spec.trainer.clip_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        clock(len(batch.input_ids))
    return clock.figures("tokens", tokens)


if __name__ == "__main__":
    main()
