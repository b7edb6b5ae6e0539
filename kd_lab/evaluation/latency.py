"""How big and how fast a saved classifier is, measured as it would be deployed: alone in a fresh process."""

from __future__ import annotations

import importlib
import resource
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from kd_lab.core import contention
from kd_lab.core.formats import module_of
from kd_lab.core.isolated_process import in_fresh_process
from kd_lab.core.types import Batch
from kd_lab.models.saved_model import WEIGHT_FILES, Classifier, load, read_card

LENGTHS = (16, 32, 128)  # tokens, of the synthetic requests
BUDGET_S = 20.0  # no further round is begun after so long, as on a machine that others keep busy
_REPEATS = 5  # of each synthetic request
Arrays = tuple[NDArray[np.int64] | None, ...]  # a Batch on its way through a pipe: its fields without the teacher


class Workload(NamedTuple):
    """Real examples that a classifier is asked while it is measured."""

    requests: Sequence[Batch]  # one example each, for the latency
    bulk: Sequence[Batch]  # 32 examples each, for the throughput

    def arrays(self) -> tuple[list[Arrays], list[Arrays]]:
        """The same on its way through a pipe."""
        return [_arrays(batch) for batch in self.requests], [_arrays(batch) for batch in self.bulk]


def measure(
    folder: Path,
    workload: Workload,
    *,
    reference: tuple[Path, Workload] | None,
    threads: int,
    rounds: int,
    timeout_s: float = 600.0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The cost of the classifier in `folder`, and of the one in `reference`, timed by turns in one process.

    Args:
        folder: a saved classifier.
        workload: what it is asked.
        reference: the saved classifier to compare with, such as the teacher, and what that is asked: the same
            examples, in its own word pieces; None compares with nothing.
        threads: torch's; a classifier with threads of its own takes as many when it is loaded.
        rounds: how often each answers all `requests`, unless `BUDGET_S` is used up before.
        timeout_s: longest that a measuring process may take.

    Returns:
        (own, reference's or empty), each with `parameters`, `parameters_nonzero` (learned weights);
        `size_mib` (see `size_mib`); `peak_memory_mib` (resident memory at its highest while it is loaded and answers
        one request of each length, above that of a process with the same libraries; some 20 of it are code and
        buffers that the libraries take on first use); `latency_ms` (`p50`, `p95`, `p99` over `requests` of all
        rounds); `latency_ms_by_length` (tokens, as many as it reads, -> median over random word pieces, one example a
        time);
        `throughput_per_s` (examples of `bulk`); `speedup` (the reference's median latency over its own; None without
        a reference); `threads`; `contended` (whether others kept it from computing during the timing, see
        `contention`).

    Raises:
        UserError: a folder holds no classifier of kd_lab.
        FitError: a measuring process failed, died or took too long.
        ValueError: there are no requests or there is no bulk.
    """
    sides = [(folder, workload), reference] if reference else [(folder, workload)]
    if not all(asking.requests and asking.bulk for _, asking in sides):
        raise ValueError("no requests or no bulk to time")
    folders = [place for place, _ in sides]
    kinds = [module_of(read_card(place)["format"]) for place in folders]  # refuses a wrong folder here
    timing = partial(_time, threads=threads, rounds=rounds)
    costs = in_fresh_process(timing, folders, [asking.arrays() for _, asking in sides], timeout_s=timeout_s)
    for cost, (place, asking), kind in zip(costs, sides, kinds, strict=True):
        one_a_length = {batch.input_ids.shape[1]: _arrays(batch) for batch in asking.requests}
        cost["size_mib"] = size_mib(place)
        cost["peak_memory_mib"] = in_fresh_process(
            _peak_memory_mib, place, kind, list(one_a_length.values()), threads, timeout_s=timeout_s
        )
        cost["speedup"] = costs[1]["latency_ms"]["p50"] / cost["latency_ms"]["p50"] if reference else None
    return costs[0], costs[1] if reference else {}


def size_mib(folder: Path) -> float:
    """Weights on disk, MiB (2^20 bytes): the files of a saved classifier that end in one of `WEIGHT_FILES`."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in WEIGHT_FILES) / 2**20


def _arrays(batch: Batch) -> Arrays:
    tensors = (batch.row_ids, batch.input_ids, batch.attention_mask, batch.labels, batch.token_type_ids)
    return tuple(None if tensor is None else tensor.cpu().numpy() for tensor in tensors)


def _batches(arrays: Sequence[Arrays]) -> list[Batch]:
    import torch

    return [Batch(*(None if array is None else torch.from_numpy(array) for array in one)) for one in arrays]  # type: ignore[arg-type]


def _peak_memory_mib(folder: Path, kind: str, requests: Sequence[Arrays], threads: int) -> float:
    import torch

    torch.set_num_threads(threads)
    importlib.import_module(kind)
    batches = _batches(requests)
    with torch.inference_mode():
        torch.nn.functional.linear(torch.ones(64, 64), torch.ones(64, 64))  # starts the libraries' threads
        before = psutil.Process().memory_info().rss
        _seconds(load(folder), batches)
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return max(0.0, peak - before) / 2**20


def _time(
    folders: Sequence[Path], loads: Sequence[tuple[Sequence[Arrays], Sequence[Arrays]]], *, threads: int, rounds: int
) -> list[dict[str, Any]]:
    import torch

    torch.set_num_threads(threads)
    asked, piled = zip(*((_batches(requests), _batches(bulk)) for requests, bulk in loads), strict=True)
    longest = [int(read_card(folder)["max_tokens"]) for folder in folders]
    synthetic = [
        {n: _synthetic(own, n) for n in sorted({min(n, most) for n in LENGTHS})}
        for own, most in zip(asked, longest, strict=True)
    ]
    with torch.inference_mode():
        classifiers = [load(folder) for folder in folders]
        for i, classifier in enumerate(classifiers):
            batches = [*asked[i], *synthetic[i].values(), *piled[i]]
            _seconds(classifier, list({batch.input_ids.shape: batch for batch in batches}.values()))  # warms up
        start, since = time.perf_counter(), contention.read_clocks()
        times: list[list[float]] = [[] for _ in folders]
        for turn in range(rounds):
            if turn == 0 or time.perf_counter() - start < BUDGET_S:
                for i, classifier in enumerate(classifiers):
                    times[i] += _seconds(classifier, asked[i])
        by_length = [
            {n: _seconds(one, [batch] * _REPEATS) for n, batch in own.items()}
            for one, own in zip(classifiers, synthetic, strict=True)
        ]
        bulk_s = [sum(_seconds(one, own)) for one, own in zip(classifiers, piled, strict=True)]
        contended = contention.contended(since)
    costs = []
    for classifier, own, medians, seconds, pile in zip(classifiers, times, by_length, bulk_s, piled, strict=True):
        parameters, nonzero = classifier.count_parameters()
        costs.append(
            {
                "parameters": parameters,
                "parameters_nonzero": nonzero,
                "latency_ms": {f"p{q}": 1e3 * float(np.percentile(own, q)) for q in (50, 95, 99)},
                "latency_ms_by_length": {str(n): 1e3 * float(np.median(medians[n])) for n in medians},
                "throughput_per_s": sum(len(batch.labels) for batch in pile) / seconds,
                "threads": threads,
                "contended": contended,
            }
        )
    return costs


def _seconds(classifier: Classifier, batches: Sequence[Batch]) -> list[float]:
    times = []
    for batch in batches:
        start = time.perf_counter_ns()
        classifier(batch)
        times.append((time.perf_counter_ns() - start) / 1e9)
    return times


def _synthetic(requests: Sequence[Batch], tokens: int) -> Batch:
    """One example of random word pieces out of those in `requests`."""
    import torch

    pieces = torch.cat([batch.input_ids.flatten() for batch in requests])
    places = torch.randint(len(pieces), (1, tokens), generator=torch.Generator().manual_seed(tokens))
    ones, first = torch.ones(1, tokens, dtype=torch.int64), requests[0]
    segments = None if first.token_type_ids is None else torch.zeros_like(ones)
    return Batch(first.row_ids, pieces[places], ones, first.labels, segments)
