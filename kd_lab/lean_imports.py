"""Keeps libraries from loading at once what a run needs later or never.

Lightning asks torchmetrics for two classes, which loads every metric there is, and with them SciPy's signals and
matplotlib. transformers asks SciPy for one function, for its losses for object detection.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

_DEFERRED: Mapping[str, Mapping[str, str]] = {  # package -> what is taken from it at once -> where that is defined
    "torchmetrics": {"Metric": "torchmetrics.metric", "MetricCollection": "torchmetrics.collections"},
    "torchmetrics.functional": {},
    "torchmetrics.utilities": {},
    "scipy.optimize": {"linear_sum_assignment": "scipy.optimize._lsap"},
}


class _Deferred(ModuleType):
    """A package that hands out its submodules; asked for anything else, it loads as it always would."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]  # from here on a package like any other
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def defer() -> None:
    """Has the packages above loaded in parts, as they are asked for; metrics cannot draw themselves then.

    A library that is loaded already, is not installed or has no such parts is left as it is.
    """
    for library in {name.partition(".")[0] for name in _DEFERRED}:
        packages = [name for name in _DEFERRED if name.partition(".")[0] == library]
        if any(name in sys.modules for name in packages):
            continue
        try:
            _defer(packages)
        except (ImportError, AttributeError):  # another version of it: let it load as it likes
            for name in [name for name in sys.modules if name.startswith(tuple(packages))]:
                parent, _, own = name.rpartition(".")
                vars(sys.modules.get(parent, ModuleType(""))).pop(own, None)
                del sys.modules[name]


def _defer(packages: list[str]) -> None:
    for name in packages:
        if (spec := find_spec(name)) is None:
            raise ImportError(name)
        module = sys.modules[name] = module_from_spec(spec)
        module.__class__ = _Deferred
        parent, _, own = name.rpartition(".")
        if parent:
            vars(sys.modules[parent])[own] = module
    if "torchmetrics" in packages:
        vars(sys.modules["torchmetrics"])["_logger"] = logging.getLogger("torchmetrics")
        vars(import_module("torchmetrics.utilities.imports"))["_MATPLOTLIB_AVAILABLE"] = False
    for name in packages:
        for taken, home in _DEFERRED[name].items():
            vars(sys.modules[name])[taken] = getattr(import_module(home), taken)
