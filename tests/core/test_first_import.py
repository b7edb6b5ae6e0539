"""What is imported first is loaded with next to no garbage collection, and everything else as ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import gc
from kd_lab.core.process_tuning import first_import
usual = gc.get_threshold()
try:
    with first_import():
        print(gc.get_threshold() == usual)
        {imported}
except ImportError:
    print("failed")
print(gc.get_threshold() == usual, gc.get_freeze_count() > 0)
gc.unfreeze()
with first_import():
    print(gc.get_threshold() == usual)
print(gc.get_threshold() == usual, gc.get_freeze_count() > 0)
"""


@pytest.mark.parametrize(
    ("imported", "told"),
    [
        ("import torch", ["False", "True True", "True", "True False"]),
        ("import json", ["False", "True True", "False", "True True"]),
        ("import no_such_module", ["False", "failed", "True True", "False", "True True"]),
    ],
)
def test_the_collector_rests_until_torch_is_there_and_works_again_after(imported: str, told: list[str]) -> None:
    script = SCRIPT.format(imported=imported)
    assert subprocess.check_output([sys.executable, "-c", script], text=True).splitlines() == told
