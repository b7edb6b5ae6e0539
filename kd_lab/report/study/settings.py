"""Groups a study's cells into settings: cells that differ in nothing but their seeds are one setting."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kd_lab.core.nested import at
from kd_lab.core.option_roles import is_seed
from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING
from kd_lab.pipeline.summary_table import flat_options
from kd_lab.report.published.editions import DATA, editions, options
from kd_lab.report.study.runs import Run, run

_NO_AXES = {"name", "experiments", "paths", "tracking", "search", "hydra"}  # say where, not what
_ONE_VALUE = {"true": "true", "false": "false", "null": "none", "none": "none"}  # as YAML reads them
_PLACES = 4  # significant ones of a number in a label; samplers draw numbers of seventeen


@dataclass(frozen=True)
class Setting:
    """One point of a study.

    Args:
        values: axis -> value as text, for every axis of the study; `MISSING` where an axis does not apply. Empty in a
            study of one setting.
        cells: the finished ones, by their seeds, one a run; see `runs`.
        failed: cells that failed or were pruned.
    """

    values: Mapping[str, str]
    cells: tuple[RunResult, ...]
    failed: tuple[RunResult, ...]

    @cached_property
    def label(self) -> str:
        """Such as "temperature=2 alpha=0.5"; the study's name where there is one setting alone."""
        short = short_names(list(self.values))
        told = [f"{short[axis]}={short_value(value)}" for axis, value in self.values.items() if value != MISSING]
        return " ".join(told) or (self.cells + self.failed)[0].name

    @cached_property
    def by_run(self) -> Mapping[Run, RunResult]:
        """Seeds -> finished cell."""
        return {run(cell): cell for cell in self.cells}

    def over_seeds(self, path: str) -> list[float]:
        """The number at a dotted path such as "metrics.test.accuracy", one a cell; cells without it are left out."""
        found = (at(cell, path) for cell in self.cells)
        return [float(number) for number in found if number is not None]


def axes(cells: Sequence[RunResult]) -> list[str]:
    """Options in which cells of the study differ, by first appearance; never a seed, a name or a place.

    These are keys of the overrides; a cell that leaves an option alone has the value its config gives it. Then those
    in which configs of the same overrides differ, as after a file of conf/ was edited, or under two `experiments`; and
    last `editions.DATA`, where a data set changed.
    """
    given = [_overrides(cell) for cell in cells]
    keys = dict.fromkeys(key for overrides in given for key in overrides)
    pairs = list(zip(cells, given, strict=True))
    found = [key for key in keys if len({alike(_value(key, cell, overrides)) for cell, overrides in pairs}) > 1]
    groups: dict[tuple[float | str, ...], list[RunResult]] = {}
    for cell, overrides in pairs:
        groups.setdefault(tuple(alike(_value(key, cell, overrides)) for key in found), []).append(cell)
    found += dict.fromkeys(key for group in groups.values() for key in _unlike(group) if key not in found)
    values = [{axis: _value(axis, cell, overrides) for axis in found} for cell, overrides in pairs]
    return [*found, DATA] if editions(cells, values) else found


def settings(cells: Sequence[RunResult]) -> list[Setting]:
    """The study's settings, by the values of its axes: numbers by size, words in order of first appearance.

    Where a run stands twice in one setting, once as the default and once by name, the first finished cell counts.
    """
    told = axis_values(cells)
    names = list(told[0]) if told else []
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for cell, values in zip(cells, told, strict=True):
        groups.setdefault(tuple(values.values()), []).append(cell)
    texts = [dict.fromkeys(values[axis] for values in told) for axis in names]
    places = [{text: place for place, text in enumerate(found)} for found in texts]
    order = sorted(groups, key=lambda key: [_place(text, known) for text, known in zip(key, places, strict=True)])
    return [_setting(dict(zip(names, key, strict=True)), groups[key]) for key in order]


def axis_values(cells: Sequence[RunResult]) -> list[dict[str, str]]:
    """Of each cell, axis -> value as text, with the same axes in the same order; "2" and "2.0" are one value."""
    names = axes(cells)
    told = [{axis: _value(axis, cell, _overrides(cell)) for axis in names if axis != DATA} for cell in cells]
    if DATA in names:
        edition = editions(cells, told)
        told = [{**values, DATA: edition.get(id(cell), MISSING)} for cell, values in zip(cells, told, strict=True)]
    texts: dict[str, dict[float | str, str]] = {axis: {} for axis in names}
    return [{axis: texts[axis].setdefault(alike(text), text) for axis, text in values.items()} for values in told]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """axis -> its last part where no other axis ends alike, else the whole."""
    last = [name.rpartition(".")[2] for name in names]
    return {name: end if last.count(end) == 1 else name for name, end in zip(names, last, strict=True)}


def short_value(value: str) -> str:
    """A value for people: a long number with four significant places, anything else as it is."""
    number = alike(value)
    rounded = f"{number:.{_PLACES}g}" if isinstance(number, float) else value
    return rounded if len(rounded) < len(value) and "." in value else value


def _setting(values: Mapping[str, str], group: Sequence[RunResult]) -> Setting:
    finished: dict[Run, RunResult] = {}
    for cell in group:
        if cell.status == "finished":
            finished.setdefault(run(cell), cell)
    failed = tuple(cell for cell in group if cell.status != "finished")
    return Setting(values, tuple(finished[seeds] for seeds in sorted(finished)), failed)


def _unlike(group: Sequence[RunResult]) -> list[str]:
    """Options that cells of the same overrides have in different values; one that a config lacks tells nothing."""
    if len(group) == 1:
        return []
    values: dict[str, set[str]] = {}
    for cell in group:
        whole = flat_options({part: tree for part, tree in cell.config.items() if part not in {*_NO_AXES, "dataset"}})
        for key, value in (*whole, *options(cell).items()):
            values.setdefault(key, set()).add(str(value))
    return [key for key, found in values.items() if len(found) > 1 and not is_seed(key)]


def _overrides(cell: RunResult) -> dict[str, str]:
    """key -> value of the overrides that say what a cell is; of a cell that kept none, those its folder is named by."""
    told = cell.overrides or re.split(r",(?=[^,=]+=)", cell.cell)
    parts = (text.lstrip("+~").partition("=") for text in told if "=" in text or text.startswith("~"))
    return {key: value for key, _, value in parts if re.split(r"[./]", key)[0] not in _NO_AXES and not is_seed(key)}


def _value(axis: str, cell: RunResult, overrides: Mapping[str, str]) -> str:
    if axis in overrides:
        return overrides[axis]
    found: Any = cell.config
    for key in axis.split("."):
        if not isinstance(found, Mapping) or key not in found:
            return MISSING
        found = found[key]
    if isinstance(found, Mapping):  # a part such as model or teacher is known by its name
        model = found.get("model")
        found = found.get("name") or (model.get("name") if isinstance(model, Mapping) else None) or MISSING
    return "none" if found is None else str(found).lower() if isinstance(found, bool) else str(found)


def alike(text: str) -> float | str:
    """What two texts of one value share, such as 2 and 2.0, True and true, null and none."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    word = text.strip("'\"")
    return number if math.isfinite(number) else _ONE_VALUE.get(word.lower(), word)


def _place(text: str, known: Mapping[str, int]) -> tuple[int, float]:
    number = alike(text)
    return (0, number) if isinstance(number, float) else (1, known[text])
