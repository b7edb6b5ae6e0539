"""What costs the processes of the tests much time and few of them look at: pictures, memory given back, operators."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from onnxscript._internal.values import TracedOnnxFunction
from PIL import Image

from kd_lab.cli import run

OF_PICTURES = (  # tests that look at them
    "tests/evaluation/", "tests/report/figures/", "tests/report/published/", "tests/report/release/", "tests/speed/",
    "tests/report/study/test_against.py", "tests/report/study/test_cross_evaluation.py",
)  # fmt: skip


def spare() -> None:
    """From now on in this process figures are made and not drawn, but in tests of them; freed memory stays.

    That it is given back between two cells is held by `core/test_freed_memory.py`.
    """
    run.give_back_freed_memory = lambda: None
    _operators_once()
    save = Figure.savefig

    def save_where_it_counts(self: Figure, to: Any, **options: Any) -> None:
        if _of_pictures():
            save(self, to, **options)
        elif str(to).endswith(".svg"):
            Path(to).write_text('<svg xmlns="http://www.w3.org/2000/svg"/>', encoding="utf-8")
        else:
            Image.new("RGB", (2, 2)).save(to, format="png")

    Figure.savefig = save_where_it_counts  # type: ignore[method-assign]


def _of_pictures() -> bool:
    return os.environ.get("PYTEST_CURRENT_TEST", "").startswith(OF_PICTURES)


def _operators_once() -> None:
    """The exporter reads the source of its 500 functions at each export; they do not change."""
    read = TracedOnnxFunction.function_ir.fget
    assert read is not None
    TracedOnnxFunction.function_ir = property(cache(read))  # type: ignore[assignment,misc]
