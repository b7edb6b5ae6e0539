"""What is imported first is loaded with next to no garbage collection, and everything else as ever."""

from __future__ import annotations

import subprocess
import sys

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


def said(imported: str) -> list[str]:
    script = SCRIPT.format(imported=imported)
    return subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()


def test_the_collector_rests_until_torch_is_there_and_never_again() -> None:
    assert said("import torch") == ["False", "True True", "True", "True False"]


def test_it_rests_again_where_torch_is_still_to_come() -> None:
    assert said("import json") == ["False", "True True", "False", "True True"]


def test_it_works_again_after_an_import_that_failed() -> None:
    assert said("import no_such_module")[:3] == ["False", "failed", "True True"]
