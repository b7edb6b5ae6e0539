"""Time by the clock and of the processor: ratios of the latter hold also where other processes are busy."""

from __future__ import annotations

import time

import torch

from experiments.speed.rounds import Figures, Measured, Ratio

NOTE = "ratios of processor time hold also where other processes are busy"


class Stopwatch:
    """Runs from its making to its last call, which may be told of rows as a loop's `advance` is."""

    def __init__(self) -> None:
        self._began = self._ended = self._now()

    def __call__(self, rows: int = 0) -> None:
        """What is timed has come so far."""
        self._ended = self._now()

    def figures(self, what: str, count: int) -> Figures:
        """`<what>_per_s`, `<what>_per_cpu_s` and `seconds` of so many, and their count."""
        seconds, used = (end - begin for begin, end in zip(self._began, self._ended, strict=True))
        return {f"{what}_per_s": count / seconds, f"{what}_per_cpu_s": count / used, "seconds": seconds, what: count}

    @staticmethod
    def _now() -> tuple[float, float]:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def ratios(measured: Measured, what: str) -> dict[str, Ratio]:
    """Ours over bare, by the clock and by processor time."""
    figures = {"ours / bare": f"{what}_per_s", "ours / bare, processor time": f"{what}_per_cpu_s"}
    return {name: measured.ratio(figure, "ours", "bare") for name, figure in figures.items()}
