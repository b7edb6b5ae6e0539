"""Splits of a data set from the Hugging Face hub, or of a folder that the library datasets reads as one of its."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kd_lab.core.as_typed import shell_override
from kd_lab.core.errors import UserError
from kd_lab.data.split_files import validation_among

if TYPE_CHECKING:
    import pyarrow as pa

_CONFIGS = re.compile(r"(?:available configs|Available): \[(.*?)\]", re.DOTALL)
_SHOWN = 20  # names that an error lists


def download(
    hub_id: str, config: str | None, revision: str, splits: Mapping[str, str], wanted: Sequence[str]
) -> tuple[dict[str, pa.Table] | None, str]:
    """(ours -> the columns that are wanted, why there are none).

    Args:
        splits: ours -> theirs; test may be missing where it bears our own name.
        wanted: columns; where one is not there, the table has all names.

    Raises:
        UserError: it has several configurations and none was chosen, or lacks a split.
    """
    import datasets

    try:
        whole = datasets.load_dataset(hub_id, config, revision=revision)
    except Exception as error:  # the hub's client raises a dozen kinds for "not to be had"
        if configs := _CONFIGS.search(str(error)):
            names = re.findall(r"'([^']*)'", configs[1])
            got = f"{'none' if config is None else repr(config)} of {', '.join(names[:_SHOWN])}"
            got += ", ..." if len(names) > _SHOWN else ""
            cure = f"Choose one: {shell_override('dataset.config', names[0] if names else 'NAME')}."
            raise UserError(f"dataset {hub_id}", expected="one configuration", got=got, cure=cure) from error
        return None, f"hub id {hub_id} ({type(error).__name__})"
    asked = {ours: theirs for ours, theirs in splits.items() if theirs in whole or (ours, theirs) != ("test", "test")}
    if missing := [theirs for theirs in asked.values() if theirs not in whole]:
        there = [str(name) for name in whole]
        got = f"{', '.join(map(repr, there[:_SHOWN]))}, and no {missing[0]!r}"
        ours = next(one for one, theirs in asked.items() if theirs == missing[0])
        cure = f"Choose one: {shell_override(f'dataset.splits.{ours}', there[0] if there else 'NAME')}."
        raise UserError(f"dataset {hub_id}", expected="the splits that are asked for", got=got, cure=cure)
    if (spare := validation_among(whole, splits)) is not None:
        asked["validation"] = spare
    try:
        return {ours: _arrow(whole[theirs], wanted) for ours, theirs in asked.items()}, ""
    except Exception as error:  # of Arrow, which has kinds of its own
        return None, f"hub id {hub_id} ({type(error).__name__})"


def _arrow(split: Any, wanted: Sequence[str]) -> pa.Table:
    if all(name in split.column_names for name in wanted):
        split = split.select_columns(list(wanted))  # one that nobody asked for is not read
    return split.with_format("arrow")[:]
