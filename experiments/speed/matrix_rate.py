"""The rate of a large matrix product in bfloat16 on the GPU at hand: what any model's arithmetic is held against."""

from __future__ import annotations

from statistics import median

import torch

SIZE, WARM, TIMED = 8192, 5, 20


def matrix_rate(size: int = SIZE) -> float:
    """Operations a second of the product of two square matrices of random numbers: 2 size^3 over its median time."""
    random = torch.Generator("cuda").manual_seed(0)
    left, right = (torch.randn(size, size, generator=random, device="cuda").bfloat16() for _ in range(2))
    into = torch.empty_like(left)
    times = []
    for number in range(WARM + TIMED):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        torch.mm(left, right, out=into)
        end.record()
        end.synchronize()
        if number >= WARM:
            times.append(begin.elapsed_time(end) / 1e3)
    return 2 * size**3 / median(times)
