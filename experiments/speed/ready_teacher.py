"""A ready teacher's pass over short texts: `teacher=ready` beside a bare loop of transformers on the same batches.

The teacher is a classifier of MiniLM's size in the hub's layout, saved by transformers. Both sides take batches of
like length in the same precision. The bare side has its batches ready and keeps nothing; ours makes them, joins the
logits by row, writes and hashes them. Tokenising, reading the teacher and matching its classes are timed on no side.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import transformers

from experiments.speed import result, stopwatch
from experiments.speed.bare import inference_batches
from experiments.speed.command_line import ask, parser
from experiments.speed.rounds import Figures
from experiments.speed.short_texts import CLASSES, ShortTexts, words
from experiments.speed.stopwatch import Stopwatch
from kd_lab.cli.compose import compose
from kd_lab.core import machine
from kd_lab.core.cache import Cache
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.core.types import Batch
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.evaluation.inference import autocast
from kd_lab.models.base import TorchClassifier
from kd_lab.pipeline.cell import Cell
from kd_lab.training.ready_teacher import ReadyTeacher
from kd_lab.training.teacher_outputs import logits_of

Net = transformers.PreTrainedModel


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, writes `ready_teacher/result.json`, prints."""
    made = parser("ready_teacher", __doc__, rounds=5)
    made.add_argument("--texts", type=int, help="20000")
    made.add_argument("--threads", type=int, help="of torch; all cores")
    asked = ask(made, arguments)
    texts = asked.number("texts", 20_000, 300)
    if asked.options.threads:
        torch.set_num_threads(asked.options.threads)
    device = machine.best_device()
    precision = machine.best_precision(device)
    with tempfile.TemporaryDirectory() as folder:
        saved, cache = Path(folder) / "teacher", Cache(Path(folder) / "cache")
        _save(saved)
        spec = ReadyTeacher(str(saved))
        tokens = tokenise(ShortTexts(texts, words(asked.overrides)), spec.tokenizer, cache)
        fitted = spec.prepared(tokens, cache)
        model, net = fitted.load().to(device), transformers.AutoModelForSequenceClassification.from_pretrained(saved)
        net = net.eval().to(device)
        mean = float(tokens.split("train").lengths.mean())
        rows, batches = inference_batches(tokens, device)
        apart = _difference(model, net, batches[-1], device, precision)
        keep_freed_memory()  # as the command does
        jobs = {
            "ours": partial(ours, fitted.fingerprint, model, tokens, (device, precision)),
            "bare": partial(bare, partial(_logits, net), batches, device, precision),
        }
        measured = asked.by_turns(jobs)
    result.write(
        asked,
        [measured],
        stopwatch.ratios(measured, "rows"),
        {
            "texts": texts,
            "tokens_mean": mean,
            "rows_in_a_pass": rows,
            "device": device,
            "precision": precision,
            "threads": torch.get_num_threads(),
            "logits_apart": apart,
        },
        notes=[stopwatch.NOTE],
    )


def _save(folder: Path) -> None:
    """MiniLM with a new head for two classes, as transformers saves it, and its tokenizer."""
    checkpoint = Cell(compose(["teacher=minilm"])).tokenizer.path.parent
    torch.manual_seed(0)
    names = dict(enumerate(CLASSES))
    net: Net = transformers.AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=len(CLASSES), id2label=names, label2id={name: number for number, name in names.items()}
    )
    net.save_pretrained(folder)
    shutil.copyfile(checkpoint / "tokenizer.json", folder / "tokenizer.json")


def _difference(ours: TorchClassifier, bare: Net, batch: Batch, device: str, precision: str) -> float:
    """The largest between logits of the two: they must be one model."""
    with torch.no_grad(), autocast(device, precision):
        return float((ours(batch).logits.float() - _logits(bare, batch).float()).abs().max())


def _logits(net: Net, batch: Batch) -> torch.Tensor:
    segments = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
    logits: torch.Tensor = net(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **segments).logits
    return logits


def ours(fingerprint: str, model: TorchClassifier, tokens: Tokens, on: tuple[str, str]) -> Figures:
    """kd_lab's pass over train, on a (device, precision)."""
    torch.use_deterministic_algorithms(False)
    with tempfile.TemporaryDirectory() as folder:
        clock = Stopwatch()
        outputs = logits_of(fingerprint, lambda: model, tokens, "train", on, Cache(Path(folder)))
        clock()
    return clock.figures("rows", len(outputs))


def bare(answer: Callable[[Batch], torch.Tensor], batches: Sequence[Batch], device: str, precision: str) -> Figures:
    """A bare loop: `answer` gives the logits of a batch."""
    torch.use_deterministic_algorithms(False)
    clock = Stopwatch()
    with torch.no_grad(), autocast(device, precision):
        for batch in batches:
            outputs = answer(batch)
        outputs.cpu()  # a GPU has done all of them by then
    clock()
    return clock.figures("rows", sum(len(batch.labels) for batch in batches))


if __name__ == "__main__":
    main()
