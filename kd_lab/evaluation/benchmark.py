"""How fast many saved classifiers answer, by batch and by length, all timed by turns in one fresh process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kd_lab.core.errors import FitError
from kd_lab.core.isolated_process import in_fresh_process
from kd_lab.core.progress import Advance
from kd_lab.core.types import Batch
from kd_lab.data.tokenizer_file import TOKENIZER, read_tokenizer
from kd_lab.evaluation.energy import counters, joules
from kd_lab.evaluation.interleaved_timer import AGAIN, BUDGET_S, InterleavedTimer, Job, following
from kd_lab.evaluation.latency import LENGTHS
from kd_lab.models.saved_model import Classifier, load, read_card

BATCHES = (1, 8, 32)
_ENERGY_S = 2.0  # of queries a classifier, while joules are counted


class BenchmarkRequest(NamedTuple):
    """A saved classifier with its tokenizer, and the real texts that it is asked one by one."""

    folder: Path
    texts: Sequence[str]
    pairs: Sequence[str] | None = None


def measure(
    requests: Sequence[BenchmarkRequest],
    *,
    threads: int,
    rounds: int,
    budget_s: float = BUDGET_S,
    powercap: Path | None = None,
    advance: Advance = lambda turns: None,
) -> dict[str, Any]:
    """Times every classifier of `requests` in one process that holds them all, by turns, as it would be deployed.

    How turns are taken, and what becomes of rounds that other processes disturb: see `turns.Clock`.

    Args:
        threads: torch's; a classifier with threads of its own takes as many when it is loaded.
        rounds: turns of each.
        budget_s: timing of a classifier and shape in all rounds.
        powercap: the kernel's folder of energy counters; None is the usual one.
        advance: called with the number of rounds done since the last call, of `steps(rounds)`.

    Returns:
        `variants`, in the order of `requests`, each with `shapes` (such as "8x32" for 8 rows of 32 random word pieces
        of its own vocabulary), `queries` (the texts one by one, cut into word pieces before) and
        `queries_with_tokenisation` (the same with the tokenizer's work), each of them `p50`, `p95`, `p99` in ms over
        `n` calls; `energy_j_per_1000` queries of the whole processor, None where nothing tells;
        `threads`; `rounds`; `contended` (whether times had to be taken from a disturbed round); `remeasured` (rounds).

    Raises:
        UserError: a folder holds no classifier of kd_lab.
        FitError: the process failed, died or took too long.
    """
    for one in requests:
        read_card(one.folder)  # refuses a wrong folder here
    longest_s = 120 + len(requests) * (1 + AGAIN) * (len(BATCHES) * len(LENGTHS) + 2) * max(10.0, 10 * budget_s)
    with following(advance) as turns:
        found: dict[str, Any] = in_fresh_process(
            _time, [tuple(one) for one in requests], threads, rounds, budget_s, powercap, turns, timeout_s=longest_s
        )
    return found


def steps(rounds: int) -> int:
    """Rounds that `measure` goes through, over all shapes and both kinds of queries."""
    return rounds * (len(BATCHES) * len(LENGTHS) + 2)


class _Variant:
    """A loaded classifier with its requests."""

    def __init__(self, folder: Path, texts: Sequence[str], pairs: Sequence[str] | None) -> None:
        self.max_tokens = int(read_card(folder)["max_tokens"])
        self.pieces = read_tokenizer(folder / TOKENIZER, expected="a model's tokenizer", cure="Run the cell again.")
        self.pieces.no_padding()
        self.pieces.enable_truncation(self.max_tokens)
        self.texts, self.pairs = texts, pairs
        try:
            self.model: Classifier = load(folder)
        except Exception as error:  # said with the folder, since there are many
            raise FitError(f"{folder}: {type(error).__name__}: {error}") from error
        self.queries = [self.query(row) for row in range(len(texts))]

    def query(self, row: int) -> Batch:
        """A text as the model takes it; all that is done between a text and the model's call."""
        encoding = self.pieces.encode(self.texts[row], None if self.pairs is None else self.pairs[row])
        return _batch(np.array([encoding.ids]), None if self.pairs is None else np.array([encoding.type_ids]))

    def random(self, rows: int, length: int) -> Batch:
        """Random word pieces, no special ones."""
        special = set(self.pieces.get_added_tokens_decoder())
        known = np.array([piece for piece in range(self.pieces.get_vocab_size()) if piece not in special])
        ids = np.random.default_rng(rows * 1000 + length).choice(known, (rows, length))
        return _batch(ids, None if self.pairs is None else np.zeros_like(ids))


def _batch(ids: Any, segments: Any) -> Batch:
    import torch

    pieces, rows = torch.from_numpy(ids.astype(np.int64)), torch.arange(len(ids))
    sides = None if segments is None else torch.from_numpy(segments.astype(np.int64))
    return Batch(rows, pieces, torch.ones_like(pieces), torch.zeros_like(rows), sides)


def _time(
    requests: Sequence[tuple[Path, Sequence[str], Sequence[str] | None]],
    threads: int,
    rounds: int,
    budget_s: float,
    powercap: Path | None,
    turns: Path,
) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    clock = InterleavedTimer(rounds, budget_s, turns)
    with torch.inference_mode():
        variants = [_Variant(*one) for one in requests]
        found: list[dict[str, Any]] = [{"shapes": {}} for _ in variants]

        for length in sorted({min([n, *(one.max_tokens for one in variants)]) for n in LENGTHS}):
            for rows in BATCHES:
                times = clock.time_jobs([_asking(one.model, [one.random(rows, length)]) for one in variants])
                for one, own in zip(found, times, strict=True):
                    one["shapes"][f"{rows}x{length}"] = own
        calls = min(len(one.texts) for one in variants)
        for name, kind in (("queries", _prepared), ("queries_with_tokenisation", _reading)):
            for one, own in zip(found, clock.time_jobs([kind(each) for each in variants], calls), strict=True):
                one[name] = own
        sources = counters(powercap)
        for one, variant in zip(found, variants, strict=True):
            one["energy_j_per_1000"] = joules(_prepared(variant), _ENERGY_S, sources)
    return {
        "variants": found,
        "threads": threads,
        "rounds": rounds,
        "contended": clock.contended,
        "remeasured": clock.remeasured,
    }


def _asking(model: Classifier, batches: Sequence[Batch]) -> Job:
    return lambda call: model(batches[call % len(batches)])


def _prepared(variant: _Variant) -> Job:
    return _asking(variant.model, variant.queries)


def _reading(variant: _Variant) -> Job:
    return lambda call: variant.model(variant.query(call % len(variant.texts)))
