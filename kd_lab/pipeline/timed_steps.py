"""What a plan that is carried out keeps of its steps: how long each took, and what a user should be warned of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from kd_lab.core.cache import Cache
from kd_lab.core.progress import Advance, say, step


class TimedSteps:
    """To be mixed into a plan, which has a cache and names its artifacts."""

    cache: Cache
    fingerprints: cached_property[dict[str, str]]

    @cached_property
    def durations_s(self) -> dict[str, float]:
        """Step -> seconds."""
        return {}

    @property
    def warnings(self) -> list[str]:
        """Of what was damaged in the cache, and all others."""
        return self.cache.warnings

    @contextmanager
    def timed(self, name: str, label: str, total: int | None = None) -> Iterator[Advance]:
        """A step with a progress bar, its seconds kept under `name`."""
        start = time.perf_counter()
        with step(label, total) as advance:
            yield advance
        self.durations_s[name] = round(time.perf_counter() - start, 3)

    def warn(self, text: str) -> None:
        """Says it now and in the result."""
        if text not in self.warnings:
            self.warnings.append(text)
            say(f"warning: {text}")
