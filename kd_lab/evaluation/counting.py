"""How metrics are counted: bins, and torchmetrics at its quickest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

CONFIDENCE = 0.95  # of every interval
BINS = 15  # of the calibration error, equally wide, as in Guo et al. 2017 (arXiv:1706.04599)


@contextmanager
def plain_counting() -> Iterator[None]:
    """Switches torch's deterministic mode off: counts on the CPU are exact anyway, and torchmetrics counts C x C pairs
    by comparing every row with every pair in it, 7 s instead of 0.02 s for 5,500 rows of 151 classes.
    """
    import torch  # here: reports read the numbers above without it

    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
