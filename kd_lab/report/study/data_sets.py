"""Sets a study's settings apart by data set: accuracies on two of them are never compared, drawn or ranked together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING
from kd_lab.report.published.editions import DATA, key, options
from kd_lab.report.study.runs import run, split
from kd_lab.report.study.settings import Setting, axis_values


@dataclass(frozen=True)
class DataSet:
    """The settings of a study that one data set was used for.

    Args:
        name: such as "clinc", or "csv path=a.csv" where two of a study have one name.
        settings: in the study's order.
    """

    name: str
    settings: tuple[Setting, ...]


def data_sets(found: Sequence[Setting]) -> list[DataSet]:
    """The study's data sets, by first appearance; those without options that tell them apart are one.

    Two are one where all options but seeds agree and their files did not change in between, see `editions`. Whatever
    else differs, a path, a column, a limit or how much becomes test, makes another set of rows to learn from and to
    be judged on.
    """
    groups: dict[str, list[Setting]] = {}
    for setting in found:
        groups.setdefault(key(_any(setting), setting.values), []).append(setting)
    names = _names([(_any(group[0]), group[0].values) for group in groups.values()])
    return [DataSet(name, tuple(group)) for name, group in zip(names, groups.values(), strict=True)]


def by_cell(cells: Sequence[RunResult]) -> dict[str, str]:
    """Name of a cell -> what its test rows are: the data set and, where that was split in several ways, which.

    Cells have the same words where their accuracies stand on the same test rows.
    """
    groups: dict[str, list[tuple[RunResult, Mapping[str, str]]]] = {}
    for cell, values in zip(cells, axis_values(cells), strict=True):
        groups.setdefault(key(cell, values), []).append((cell, values))
    found = {}
    for name, group in zip(_names([group[0] for group in groups.values()]), groups.values(), strict=True):
        splits = {cell.cell: split(run(cell)) for cell, _ in group}
        several = len(set(splits.values())) > 1
        for place, seeds in splits.items():
            told = [f"{option.removeprefix('dataset.')}={value}" for option, value in seeds] if several else []
            found[place] = " ".join([name, *told])
    return found


def file_suffixes(names: Sequence[str]) -> dict[str, str]:
    """Name of a data set -> an end for the names of its files, "" where there is one data set alone."""
    if len(names) < 2:
        return dict.fromkeys(names, "")
    safe = [re.sub(r"[^\w.-]+", "-", name).strip("-") for name in names]
    return {
        name: f"-{one}" + (f"-{place}" if safe.count(one) > 1 else "")
        for place, (name, one) in enumerate(zip(names, safe, strict=True), start=1)
    }


def _names(firsts: Sequence[tuple[RunResult, Mapping[str, str]]]) -> list[str]:
    """A name for each data set.

    Args:
        firsts: a cell of each, with its values on the study's axes.
    """
    own = [str((cell.config.get("dataset") or {}).get("name")) for cell, _ in firsts]
    return told_apart(own, [_told(cell, values) for cell, values in firsts])


def told_apart(names: Sequence[str], options: Sequence[Mapping[str, str]]) -> list[str]:
    """Each name, followed by those options in which the ones that bear it differ: "csv path=a.csv"."""
    found = []
    for name, given in zip(names, options, strict=True):
        alike = [other for other, whose in zip(options, names, strict=True) if whose == name]
        apart = [option for option in given if len({other.get(option) for other in alike}) > 1]
        found.append(" ".join([name, *(f"{option.removeprefix('dataset.')}={given[option]}" for option in apart)]))
    return found


def _told(cell: RunResult, values: Mapping[str, str]) -> dict[str, str]:
    """Everything that may tell a data set from one of the same name; the study's axes as they were typed."""
    known = {option: str(value) for option, value in options(cell).items() if option != "dataset.name"}
    chosen = {axis: text for axis, text in values.items() if axis.startswith("dataset.") or axis == DATA}
    return {option: text for option, text in {**known, **chosen}.items() if text != MISSING}


def _any(setting: Setting) -> RunResult:
    return (setting.cells + setting.failed)[0]
