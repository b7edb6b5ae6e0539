"""Which cell of a study is exported where none is named: the best by validation accuracy of those asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.nested import at
from kd_lab.core.option_roles import is_of_the_data
from kd_lab.core.results import RunResult
from kd_lab.evaluation.balanced_accuracy import at_chance
from kd_lab.pipeline.summary_table import flat_options

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
        UserError: none finished, none has these options, or the cells are of several data sets or splits.
    """
    cells = [cell for cell in results.collect(study) if cell.status == "finished" and _accuracy(cell) is not None]
    if not cells:
        cure = f"kd-lab report {name} tells why the others did not."
        raise UserError(f"study {name!r}", expected="a cell that finished", got="none", cure=cure)
    asked = cells
    for setting in settings:
        asked = _having(asked, setting)
    _refuse_several_data_sets(name, asked)
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


def _refuse_several_data_sets(name: str, cells: Sequence[RunResult]) -> None:
    """Accuracies on other validation rows rank nothing, be they of another data set or of another split of it.

    Raises:
        UserError: the cells have several.
    """
    told = [dict(flat_options(cell.config.get("dataset") or {}, "dataset.")) for cell in cells]
    keys = [key for key in dict.fromkeys(chain.from_iterable(told)) if is_of_the_data(key)]
    differ = [key for key in keys if len({str(one.get(key)) for one in told}) > 1]
    rows = {cell.fingerprint.get("test") for cell in cells}  # other ones under the same options: a file was changed
    if not differ and len(rows) < 2:
        return
    if "dataset.name" in differ:  # it chooses the others
        differ = [key for key in differ if key in ("dataset.name", "dataset.path")]
    found = sorted({_typed({key: one.get(key) for key in differ}) for one in told} - {""})
    got = ", ".join(found)[:500] or "a file that was changed between them"
    cure = f"Say of which, e.g. {found[0]}, or name a cell." if found else "Name a cell."
    raise UserError(f"study {name!r}", expected="cells of one data set and split", got=got, cure=cure)


def _typed(options: Mapping[str, Any]) -> str:
    """Options as they are typed to `kd-lab export`."""
    given = {"dataset" if key == "dataset.name" else key: value for key, value in options.items()}
    return " ".join(f"{key}={_shown(value)}" for key, value in given.items() if value is not None)
