"""Overrides whose value is a name that somebody else gave, such as a file's: they work as typed, whatever its letters.

Hydra's grammar has letters of its own, and a value that it cannot read is put in quotes. What it reads as something
else, a number or an axis, is a file's name where there is a file of that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from kd_lab.core.as_typed import hydra_text

_LAST = r"(?:path|\w+_path|\w+_column|delimiter|name)"
_NAMES = re.compile(rf"(\+{{0,2}}(?:name|paths\.\w+|(?:[\w@/]+\.)+{_LAST}))=(.*)", re.DOTALL)
_SPLITS = re.compile(r"dataset\.splits(?:\.validation=|=.*\bvalidation\s*:)", re.DOTALL)
_SEVERAL = frozenset({"-m", "--multirun"})


def readable(overrides: Sequence[str]) -> list[str]:
    """The same overrides, with quotes where Hydra needs them around a name of a file, a column or a study."""
    axes = bool(_SEVERAL.intersection(overrides))
    return [_added(_quoted(one, axes)) for one in overrides]


def _added(override: str) -> str:
    """A validation split is named like the others, though no data set's default has one for Hydra to override."""
    return f"++{override}" if _SPLITS.match(override) else override


def _quoted(override: str, axes: bool) -> str:
    found = _NAMES.fullmatch(override)
    if found is None:
        return override
    option, value = found.groups()
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        parts = value.split(",") if axes and not _is_there(value) else [value]
        return f"{option}={','.join(map(hydra_text, parts))}"
    is_name = not parsed.is_sweep_override() and (parsed.value() is None or isinstance(parsed.value(), str))
    return override if is_name or not _is_there(value) else f"{option}={hydra_text(value)}"


def _is_there(value: str) -> bool:
    try:
        return Path(value).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, a home that nobody has, NUL
        return False
