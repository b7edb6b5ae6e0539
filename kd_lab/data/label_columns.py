"""Several labels a row (`task=multi_label`) as a column of 0 and 1 for each label."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kd_lab.core.errors import UserError
from kd_lab.data.dataset import MULTI_LABEL, UNLABELLED

_BORNE = {"1": True, "true": True, "0": False, "false": False}
_UNKNOWN = ("", "nan", str(UNLABELLED))
_OPTION = "label in "  # what `wanted` calls such a column


def label_options(label_column: str, label_columns: Sequence[str] | None) -> dict[str, str]:
    """What a file must hold of labels: option, as errors call it, -> column."""
    if label_columns is None:
        return {"label": label_column}
    return {f"{_OPTION}{column}": column for column in label_columns}


def named_by(option: str) -> str:
    """How a column is named that is not there."""
    if is_of_several(option):
        return "dataset.label_columns=[NAME,NAME]"
    return f"dataset.{option}_column=NAME"


def is_of_several(option: str) -> bool:
    """Whether it is a column of 0 and 1."""
    return option.startswith(_OPTION)


def refuse_single(task: str, label_columns: Sequence[str] | None) -> None:
    """Refuses columns of labels where a row has one label, where there are none, or where one comes twice.

    Raises:
        UserError: `task` is another than multi_label, or the columns are none or not distinct.
    """
    if label_columns is None:
        return
    if task != MULTI_LABEL:
        cure = "Type task=multi_label, or name the one column with dataset.label_column=NAME."
        raise UserError("dataset.label_columns", expected="task=multi_label", got=f"task={task}", cure=cure)
    if not label_columns or len(set(label_columns)) < len(label_columns):
        cure = "Name each column once, e.g. dataset.label_columns=[toxic,insult]."
        got = f"[{','.join(label_columns)}]"
        raise UserError("dataset.label_columns", expected="columns, each once", got=got, cure=cure)


def as_lists(columns: Mapping[str, Sequence[Any]], where: str) -> list[str | None]:
    """The labels of each row as a JSON list; None where no column says anything.

    Args:
        columns: label -> 1 or 0, true or false, of each row; -1 or nothing where nobody has said.
        where: the file, for errors.

    Raises:
        UserError: a value is neither, or a row has some of its labels without the others.
    """
    rows: list[str | None] = []
    for number, values in enumerate(zip(*columns.values(), strict=True), 1):
        said = [_said(value, where, column, number) for column, value in zip(columns, values, strict=True)]
        if None not in said:
            rows.append(json.dumps([name for name, one in zip(columns, said, strict=True) if one], ensure_ascii=False))
            continue
        if set(said) != {None}:
            name = next(name for name, one in zip(columns, said, strict=True) if one is None)
            cure = "Fill that row in, or leave all of its labels empty: it is text for the teacher alone then."
            place = f"{where}, column {name!r}, row {number}"
            raise UserError(place, expected="1 or 0, as its other columns have", got="nothing", cure=cure)
        rows.append(None)
    return rows


def without_rows(label_columns: Sequence[str] | None, classes: Sequence[str]) -> list[str]:
    """What to say of columns that no row has a 1 in: they are no classes."""
    bare = [column for column in label_columns or () if column not in classes]
    return [f"no row has a 1 in {', '.join(map(repr, bare))}: left out of the classes"] if bare else []


def _said(value: Any, where: str, column: str, row: int) -> bool | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    word = str(value).strip().lower().removesuffix(".0")
    if word in _UNKNOWN:
        return None
    if word not in _BORNE:
        cure = (
            "Write 1 where the row bears the label and 0 where not, or leave the column out of dataset.label_columns."
        )
        raise UserError(f"{where}, column {column!r}, row {row}", expected="1 or 0", got=str(value)[:100], cure=cure)
    return _BORNE[word]
