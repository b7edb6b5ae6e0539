"""Tells apart cells of one data set by name that were judged on different rows: its files changed between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from kd_lab.core.option_roles import MORE_TO_LEARN, is_of_the_data, is_seed
from kd_lab.core.results import RunResult
from kd_lab.evaluation import predictions
from kd_lab.pipeline.summary_table import flat_options
from kd_lab.report.study.runs import Run, run, split

DATA = "data"  # the axis that tells editions apart, in a study that has several of one data set


def options(cell: RunResult) -> dict[str, Any]:
    """Dotted option -> value of a cell's data set, without its seeds and without the places of its files.

    A file may move; another file is another value of an axis, or has other test rows. Without what says which text that
    has no labels a student learned from, too: it is judged on the same rows. And without what is not given: an option
    that is new is missing from the configs of older cells.
    """
    return data_options(cell.config.get("dataset") or {})


def data_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same of the config of a data set alone."""
    found = ((key, value) for key, value in flat_options(config, "dataset.") if value is not None)
    return {key: value for key, value in found if not (is_seed(key) or _is_place(key) or key.startswith(MORE_TO_LEARN))}


def editions(cells: Sequence[RunResult], axes: Sequence[Mapping[str, str]]) -> dict[int, str]:
    """id of a cell -> "1", "2" and so on, for the cells of data sets of which there are several editions.

    Two finished cells are of one data set where its options and the study's axes say so. Where the same split of it has
    different test rows in two of them, its files were changed in between.

    Args:
        cells: of a study.
        axes: of each, axis -> value.
    """
    tests: dict[tuple[str, Run], dict[str, str]] = {}  # data set and split -> test rows -> edition
    places = []
    for cell, values in zip(cells, axes, strict=True):
        place = (key(cell, values), split(run(cell)))
        places.append(place)
        if test := cell.fingerprint.get(predictions.TEST):
            known = tests.setdefault(place, {})
            known.setdefault(test, str(len(known) + 1))
    several = {place[0] for place, known in tests.items() if len(known) > 1}
    return {
        id(cell): tests[place][cell.fingerprint[predictions.TEST]]
        for cell, place in zip(cells, places, strict=True)
        if place[0] in several and predictions.TEST in cell.fingerprint
    }


def key(cell: RunResult, values: Mapping[str, str]) -> str:
    """What tells a cell's data set from others, given the cell's values on the study's axes."""
    own = {axis: value for axis, value in values.items() if axis == DATA or is_of_the_data(axis)}
    return json.dumps([options(cell), own], sort_keys=True, default=str)


def _is_place(key: str) -> bool:
    last = key.rpartition(".")[2]
    return last == "path" or last.endswith("_path")
