"""Rows and seconds of training steps, read from the clock that the device keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from experiments.speed.rounds import Figures

WARM = 3  # first steps of a turn, in which kernels are made for new shapes


class Window:
    """Rows and seconds from the end of the `skip`-th step to the end of the last.

    A GPU works behind the processor, so there a step ends when the GPU has reached its end.

    Args:
        skip: first steps that do not count.
        device: where the steps run.
        meet: called before the window begins, e.g. to wait for others.
    """

    def __init__(self, skip: int = WARM, device: str = "cpu", meet: Callable[[], None] = lambda: None) -> None:
        self.skip, self.steps, self.rows = skip, 0, 0
        self._on_gpu, self._meet = device == "cuda", meet
        self._made = self._begun = time.perf_counter()
        self._begin = self._end = self._mark() if self._on_gpu else self._made

    def __call__(self, rows: int) -> None:
        """A step with so many rows has ended."""
        self.steps += 1
        if self.steps == self.skip:
            self._wait()
            self._meet()
        self._end = self._mark()
        if self.steps <= self.skip:
            self._begin = self._end
            self._begun = time.perf_counter() if self._on_gpu else self._end
        else:
            self.rows += rows

    def figures(self) -> Figures:
        """`examples_per_s` within the window, its `seconds`, `rows` and `steps`, and `whole_s` since it was made.

        Raises:
            ValueError: there was no step after those that are skipped.
        """
        if not self.rows:
            raise ValueError(
                f"{self.steps} steps, of which the first {self.skip} do not count: give more rows or steps"
            )
        self._wait()
        seconds = self._begin.elapsed_time(self._end) / 1e3 if self._on_gpu else self._end - self._begin
        return {
            "examples_per_s": self.rows / seconds,
            "seconds": seconds,
            "rows": self.rows,
            "steps": self.steps - self.skip,
            "whole_s": time.perf_counter() - self._made,
        }

    def when(self) -> Figures:
        """`begin` and `end` of the window by the clock that all processes of the machine share."""
        return {"begin": self._begun, "end": self._begun + self.figures()["seconds"]}

    def _wait(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize()

    def _mark(self) -> Any:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
