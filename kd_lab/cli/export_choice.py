"""Which cell of a study is exported where none is named: the best by validation accuracy of those asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.evaluation.balanced_accuracy import at_chance

_SHOWN = 20  # values that an error lists


def best(study: Path, name: str, settings: Sequence[str]) -> tuple[str, str]:
    """The finished cell with the highest validation accuracy; of several as good the smallest on disk.

    Test is not looked at: figures of it stay honest.

    Args:
        study: its folder.
        name: of the study.
        settings: options that the cell must have, as typed for a run: `model=lstm_attention`, `loss.alpha=0.5`.

    Returns:
        the cell's name, and why it is chosen.

    Raises:
        UserError: none finished, none has these options, or the cells are of several data sets.
    """
    cells = [cell for cell in results.collect(study) if cell.status == "finished" and _accuracy(cell) is not None]
    if not cells:
        cure = f"kd-lab report {name} tells why the others did not."
        raise UserError(f"study {name!r}", expected="a cell that finished", got="none", cure=cure)
    asked = cells
    for setting in settings:
        asked = _having(asked, setting)
    if len(data := sorted({_data(cell) for cell in asked})) > 1:
        expected, cure = "cells of one data set", f"Say of which, e.g. {data[0]}, or name a cell."
        raise UserError(f"study {name!r}", expected=expected, got=", ".join(data)[:500], cure=cure)
    chosen = min(asked, key=lambda cell: (-(_accuracy(cell) or 0.0), cell.cost.get("size_mib", math.inf), cell.cell))
    equal = sum(_accuracy(cell) == _accuracy(chosen) for cell in asked)
    having = f" with {' '.join(settings)}" if settings else ""
    accuracy = f"{100 * (_accuracy(chosen) or 0):.2f} %"
    why = f"the best of {len(asked)} finished cells{having} by validation accuracy, {accuracy}"
    if len(asked) == 1:
        why = f"the only finished cell{having}, validation accuracy {accuracy}"
    if at_chance(chosen.metrics["validation"]):
        why += ", which is the majority-class rate"
    return chosen.cell, why + (f"; of {equal} as good the smallest" if equal > 1 else "")


def _having(cells: Sequence[RunResult], setting: str) -> list[RunResult]:
    """Those cells with an option, of which at least one has it."""
    option, given, value = setting.partition("=")
    if not given:
        cure = "Write it as for a run, e.g. model=lstm_attention."
        raise UserError(repr(setting), expected="OPTION=VALUE", got="no =", cure=cure)
    if found := [cell for cell in cells if setting in cell.overrides or _is(at(cell.config, option), value)]:
        return found
    there = sorted({_shown(at(cell.config, option)) for cell in cells})
    got, cure = f"none of {len(cells)} finished cells", "Give another value, or leave it out."
    if there == ["null"]:
        cure = "kd-lab report STUDY shows which options differ."
    raise UserError(setting, expected=f"{option} as one of {', '.join(there[:_SHOWN])}"[:500], got=got, cure=cure)


def _is(value: Any, text: str) -> bool:
    """Whether an option of a config has the value that is typed."""
    if isinstance(value, list | Mapping) and not (isinstance(value, Mapping) and "name" in value):
        return [part.strip() for part in text.strip("[]").split(",") if part.strip()] == [str(one) for one in value]
    shown = _shown(value)
    try:
        return text == shown or float(text) == float(shown)
    except ValueError:
        return False


def _shown(value: Any) -> str:
    """A value as it is typed; of a group the name of what was chosen, of steps their list."""
    if isinstance(value, Mapping):
        return str(value["name"]) if "name" in value else f"[{','.join(value)}]"
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


def _accuracy(cell: RunResult) -> float | None:
    found: float | None = at(cell.metrics, "validation.accuracy")
    return found


def _data(cell: RunResult) -> str:
    path = at(cell.config, "dataset.path")
    return f"dataset={at(cell.config, 'dataset.name')}" + (f" dataset.path={path}" if path else "")
