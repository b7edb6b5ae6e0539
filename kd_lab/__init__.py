"""kd_lab makes small text classifiers out of big ones: distil, prune, quantize, measure, compare.

From Python: `run` and `sweep` do what the command line does, `distil` makes a classifier of a data frame, `load` reads
one that was saved. Each is imported when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module

from kd_lab.core.old_names import Finder

TYPE_CHECKING = False  # not typing's, which would be looked for in the working folder too: see core/safe_path.py
if TYPE_CHECKING:
    from typing import Any

    from kd_lab.api.distil import distil
    from kd_lab.api.load import load
    from kd_lab.api.run import run
    from kd_lab.api.sweep import sweep
    from kd_lab.core.errors import FitError, UserError

__all__ = ["FitError", "UserError", "distil", "load", "run", "sweep"]
_FILES = {"FitError": "core.errors", "UserError": "core.errors"}  # of the others the file has the name

sys.meta_path.append(Finder())  # for code that was saved when modules lay elsewhere


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'kd_lab' has no attribute {name!r}")
    found = getattr(import_module(f"kd_lab.{_FILES.get(name, f'api.{name}')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
