"""Where the time of a classifier goes, operator by operator, by torch's profiler."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity

from kd_lab.core.types import Batch
from kd_lab.evaluation.inference import predict_batch
from kd_lab.models.base import TorchClassifier

REQUESTS = 20  # texts one by one, after as many that warm up
_ROWS = 25  # operators in the table
_SHOWN = 10  # in a result


class Profile(NamedTuple):
    """What the profiler saw."""

    figures: dict[str, Any]
    table: str  # for eyes: operators by the time of their own
    trace: str  # for chrome://tracing and ui.perfetto.dev


def profile(model: TorchClassifier, requests: Sequence[Batch], device: str) -> Profile:
    """Asks the classifier one text at a time under the profiler, which slows it: shares count, not times.

    Args:
        model: on `device`, in evaluation mode.
        requests: one text each; the first `REQUESTS` are asked, twice.

    Returns:
        figures: `requests`; `cpu_ms` and, on a GPU, `cuda_ms` of a request; `operators`: name, calls a request, and
            their own share of all time on the device that computes.
    """
    asked = requests[:REQUESTS]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    for batch in asked:
        predict_batch(model, batch, device, "32-true")
    with torch.profiler.profile(activities=activities) as profiler:
        for batch in asked:
            predict_batch(model, batch, device, "32-true")
    kind = "device" if device == "cuda" else "cpu"
    events = profiler.key_averages()
    own = {event.key: float(getattr(event, f"self_{kind}_time_total")) for event in events}  # microseconds
    calls = {event.key: event.count for event in events}
    whole = sum(own.values()) or 1.0
    most = sorted(own, key=lambda name: (-own[name], name))[:_SHOWN]
    figures: dict[str, Any] = {
        "requests": len(asked),
        "cpu_ms": round(sum(float(event.self_cpu_time_total) for event in events) / 1000 / len(asked), 4),
        "operators": [[name, calls[name] / len(asked), round(own[name] / whole, 4)] for name in most],
    }
    if device == "cuda":
        figures["cuda_ms"] = round(whole / 1000 / len(asked), 4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        profiler.export_chrome_trace(str(path))
        trace = path.read_text(encoding="utf-8")
    table: str = events.table(sort_by=f"self_{kind}_time_total", row_limit=_ROWS)
    return Profile(figures, table, trace)
