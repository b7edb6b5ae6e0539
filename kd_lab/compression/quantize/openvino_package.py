"""OpenVINO and its quantizer NNCF, which need not be installed, imported only when needed and without telemetry."""

from __future__ import annotations

import importlib
import logging
import sys
from importlib.util import find_spec
from typing import Any, Literal

from kd_lab.core.errors import UserError

_TELEMETRY = "openvino_telemetry"  # both packages do without it where it is not installed


def package(name: Literal["openvino", "nncf"], where: str = "OpenVINO") -> Any:
    """The imported package.

    Importing either would report its use to Google Analytics without being asked, and leave files in ~/intel; NNCF
    would replace the class of all loggers made later. Both are kept from it.

    Raises:
        UserError: it is not installed.
    """
    need_package(name, where)
    if name in sys.modules:
        return sys.modules[name]
    blocked, loggers = {_TELEMETRY: sys.modules.get(_TELEMETRY)}, logging.getLoggerClass()
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # this is how an import is made to fail
    try:
        return importlib.import_module(name)
    finally:
        logging.setLoggerClass(loggers)
        del sys.modules[_TELEMETRY]
        sys.modules.update({name: module for name, module in blocked.items() if module})


def need_package(name: str, where: str) -> None:
    """Refuses to go on without the package.

    Raises:
        UserError: it is not installed.
    """
    if find_spec(name) is None:
        raise UserError(
            where,
            expected=f"the package {name}",
            got="an environment without it",
            cure="Install it with: pip install 'kd_lab[openvino]'",
        )


def has_bf16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor."""
    return "BF16" in package("openvino").Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
