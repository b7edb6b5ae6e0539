"""What share of a GPU's matrix rate is reached: the arithmetic of rows a second over what the GPU can multiply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.speed import flops
from experiments.speed.matrix_rate import SIZE, matrix_rate
from experiments.speed.prepared import Prepared
from experiments.speed.rounds import Figures

Medians = Mapping[str, Figures]


class Share:
    """Measures the matrix rate before and after what is held against it; does nothing on the CPU.

    Args:
        prepared: what is trained, and where.
        quick: whether small matrices will do.
    """

    def __init__(self, prepared: Prepared, quick: bool) -> None:
        self.prepared, self.size = prepared, 1024 if quick else SIZE
        self.lengths = prepared.tokens.split("train").lengths
        self._before = self._rate()

    def figures(self, medians: Medians, side: str = "") -> dict[str, Any]:
        """`matrix_tflops`, `matrix_share` of each job and `tflop_per_1000_rows`; see `flops` for what counts.

        Args:
            side: whose students every job trains; "" where each job is named by its side.
        """
        needed = flops.of_sides(self.prepared.start, self.prepared.guide, self.lengths)
        if side and needed:
            needed = dict.fromkeys(medians, needed[side])
        return self._told(medians, "examples_per_s", needed)

    def of_teacher(self, medians: Medians) -> dict[str, Any]:
        """The same for the teacher's passes."""
        needed = flops.forward(self.prepared.guide, self.lengths, all_tokens=False)
        return self._told(medians, "rows_per_s", dict.fromkeys(medians, needed) if needed else {})

    def _told(self, medians: Medians, figure: str, needed: Mapping[str, float]) -> dict[str, Any]:
        if self._before is None:
            return {}
        rates = self._before, self._rate() or 0.0
        shares = {job: needed[job] * found[figure] / max(rates) for job, found in medians.items() if job in needed}
        return {
            "matrix_tflops": [rate / 1e12 for rate in rates],
            "matrix_share": shares,
            "tflop_per_1000_rows": {job: 1000 * needed[job] / 1e12 for job in shares},
        }

    def _rate(self) -> float | None:
        return matrix_rate(self.size) if self.prepared.device == "cuda" else None
