"""Runs `kd-lab` with the arguments of this process, says when the first training step begins, and ends there.

It imports nothing beforehand that `kd-lab` would not have imported by then: the class is mended while it is loaded.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

MODULE, CLASS, METHOD = (
    "kd_lab.training.lightning_module",
    "Distillation",
    "training_step",
)  # where a run's first step begins
REACHED = "first step at"  # followed by time.monotonic(), which all processes of a machine share


class _Finder(MetaPathFinder):
    """Finds the module as ever, and has its class mended."""

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's spec with our loader; None for any other module."""
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Mended(spec.loader)
        return spec


class _Mended(Loader):
    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.real.exec_module(module)
        setattr(getattr(module, CLASS), METHOD, _reached)


def _reached(*_: object, **__: object) -> None:
    print(REACHED, time.monotonic(), flush=True)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.meta_path.insert(0, _Finder())
    from kd_lab.__main__ import main

    main()
