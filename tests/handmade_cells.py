"""Hand-made studies: cells as they lie under multirun/, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kd_lab.core.results import RunResult
from kd_lab.evaluation.intervals import wilson


def cell(overrides: Sequence[str], validation: float = 0.8, test: float = 0.8, **changes: object) -> RunResult:
    """A cell of `overrides`; its seed is among them."""
    values = dict(text.split("=", 1) for text in overrides)
    fields: dict[str, object] = {
        "name": "study",
        "cell": ",".join(overrides) or "default",
        "status": "finished",
        "config": {"seed": int(values.get("seed", 0)), "dataset": {"name": values.get("dataset", "toy")}},
        "overrides": list(overrides),
        "metrics": {
            "validation": {"accuracy": validation},
            "test": {"accuracy": test, "accuracy_interval": list(wilson(round(200 * test), 200))},
        },
        "cost": {"size_mib": 10.5, "latency_ms": {"p50": 2.25}},
    }
    return RunResult(**{**fields, **changes})  # type: ignore[arg-type]


def lost(overrides: Sequence[str], error: str = "no", status: str = "failed") -> RunResult:
    return cell(overrides, status=status, error=error, metrics={}, cost={})


def first(n: int, rows: int = 200) -> np.ndarray:
    """(rows,) bool, the first `n` of them."""
    return np.arange(rows) < n


def keep(multirun: Path, cells: Sequence[RunResult], said: Sequence[np.ndarray | None]) -> None:
    """Writes cells, and for each the rows (N,) bool in which it was right; all are of one test split."""
    for one, right in zip(cells, said, strict=True):
        folder = multirun / one.name / one.cell
        one.write(folder)
        if right is not None:
            labels = np.arange(len(right)) % 3
            predictions = np.where(right, labels, (labels + 1) % 3)
            np.savez_compressed(
                folder / "predictions.npz",
                labels=labels,
                predictions=predictions,
                confidence=np.full(len(right), 0.9, np.float32),
                texts=np.arange(len(right), dtype=np.uint64),
            )
