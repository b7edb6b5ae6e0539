"""What costs the processes of the tests much time and few of them look at: pixels, memory given back, operators."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from onnxscript._internal.values import TracedOnnxFunction

from kd_lab.cli import run

OF_PICTURES = (  # tests that look at them
    "tests/evaluation/", "tests/report/figures/", "tests/report/published/", "tests/report/release/", "tests/speed/",
)  # fmt: skip
SMALL = 20  # dots an inch


def spare() -> None:
    """From now on in this process figures are small and not laid out, but in tests of them; freed memory stays.

    That it is given back between two cells is held by `core/test_freed_memory.py`.
    """
    run.give_back_freed_memory = lambda: None
    _operators_once()
    save, lay_out = Figure.savefig, ConstrainedLayoutEngine.execute

    def save_small(self: Figure, *given: Any, **options: Any) -> None:
        save(self, *given, **(options if _of_pictures() else {**options, "dpi": SMALL}))

    def lay_out_where_it_counts(self: ConstrainedLayoutEngine, figure: Figure) -> Any:
        return lay_out(self, figure) if _of_pictures() else None

    Figure.savefig, ConstrainedLayoutEngine.execute = save_small, lay_out_where_it_counts  # type: ignore[method-assign]


def _of_pictures() -> bool:
    return os.environ.get("PYTEST_CURRENT_TEST", "").startswith(OF_PICTURES)


def _operators_once() -> None:
    """The exporter reads the source of its 500 functions at each export; they do not change."""
    read = TracedOnnxFunction.function_ir.fget
    assert read is not None
    TracedOnnxFunction.function_ir = property(cache(read))  # type: ignore[assignment,misc]
