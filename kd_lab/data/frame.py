"""Texts that a program holds, as a data set like any other: Parquet files in the cache, named by what they hold."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.label_columns import as_lists
from kd_lab.data.label_sets import LISTS, each_word
from kd_lab.data.labels import as_word
from kd_lab.data.row_ids import read_ids

TEXT, PAIR, LABEL, ID = "text", "pair", "label", "id"  # the files' columns, whatever the frame calls them
_GIVE = "Give a data frame of pandas, or (texts, labels)."
_LABELS = (str, int, float, bool)
_SHOWN = 20  # names of columns that an error lists


class FrameRows(NamedTuple):
    """One split, fit to be written."""

    texts: list[str]
    labels: list[Any]  # all of one of the types in `_LABELS`, or lists of words; none at all of text without labels
    pairs: list[str] | None = None
    ids: list[str] | None = None


def rows(
    given: Any,
    where: str,
    text: str,
    label: str | Sequence[str],
    pair: str | None = None,
    id: str | None = None,  # as the caller does
) -> FrameRows:
    """The rows of a data frame or of lists, exactly as they are.

    Args:
        given: a data frame of pandas, or texts and their labels.
        where: what the caller calls it, for errors.
        text, label, pair, id: columns of a data frame; a label is a word, a whole number, a number, true or false, or a
            list of these where a row may bear several; several columns are one of 0 and 1 for each label.

    Raises:
        UserError: it is neither, a column is missing, a text is none, or a row has no label; -1 marks, in train alone,
            a row without one.
    """
    import pandas as pd

    if isinstance(given, pd.DataFrame):
        columns = {"text": text, **_given(pair=pair, id=id)}
        found = {option: _column(given, where, option, column) for option, column in columns.items()}
        columns["label"] = label if isinstance(label, str) else ", ".join(label)
        found["label"] = _column(given, where, "label", label) if isinstance(label, str) else _sets(given, where, label)
    elif isinstance(given, tuple) and len(given) == 2 and not any(isinstance(one, str) for one in given):
        columns, found = {"text": "texts", "label": "labels"}, {"text": list(given[0]), "label": list(given[1])}
    else:
        got = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
        raise UserError(where, expected="texts with labels", got=got, cure=_GIVE)
    texts, labels = found["text"], found["label"]
    if len(texts) != len(labels):
        raise UserError(where, expected=f"{len(texts)} labels, one for each text", got=str(len(labels)), cure=_GIVE)
    if not texts:
        raise UserError(where, expected="rows", got="none", cure="Give a data frame that has some.")
    _check_texts(found, where, columns)
    place = f"{where}, {columns['label']!r}"
    pairs = [str(one) for one in found["pair"]] if "pair" in found else None
    ids = read_ids(found["id"], f"{where}, {columns['id']!r}") if "id" in found else None
    return FrameRows([str(one) for one in texts], _labels(labels, place), pairs, ids)


def unlabelled(given: Any, where: str, text: str, pair: str | None = None) -> FrameRows:
    """The rows of a data frame or of a list of texts that have no labels.

    Args:
        given: a data frame of pandas, or texts; pairs are a data frame.
        where: what the caller calls it, for errors.
        text, pair: columns of a data frame.

    Raises:
        UserError: it is neither, a column is missing, or a text is none.
    """
    import pandas as pd

    if isinstance(given, pd.DataFrame):
        columns = {"text": text, **_given(pair=pair)}
        found = {option: _column(given, where, option, column) for option, column in columns.items()}
    elif isinstance(given, list | pd.Series | np.ndarray) and pair is None:
        columns, found = {"text": "texts"}, {"text": list(given)}
    else:
        got = f"{type(given).__module__}.{type(given).__qualname__}".removeprefix("builtins.")
        cure = "Give a data frame of pandas." if pair is not None else "Give a list of texts or a data frame of pandas."
        raise UserError(where, expected="texts without labels", got=got, cure=cure)
    if not found["text"]:
        raise UserError(where, expected="rows", got="none", cure="Leave it out where there are none.")
    _check_texts(found, where, columns)
    return FrameRows(found["text"], [], found.get("pair"))


def keep(splits: Mapping[str, FrameRows], cache: Cache) -> Path:
    """The folder with `<split>-0.parquet` for each split; it lies in the cache, and is the same for the same rows.

    Raises:
        UserError: nothing can be written there.
    """
    digests = {name: _digest(split) for name, split in splits.items()}

    def make(draft: Path) -> None:
        for name, split in splits.items():
            _write(split, draft / f"{name}-0.parquet")

    return cache.build("frame", {"rows": digests}, make)


def _given(**columns: str | None) -> dict[str, str]:
    return {option: column for option, column in columns.items() if column is not None}


def _check_texts(found: Mapping[str, Sequence[Any]], where: str, columns: Mapping[str, str]) -> None:
    for option in ("text", "pair"):
        for row, one in enumerate(found.get(option, ())):
            if (flaw := _flaw(one)) is not None:
                place = f"{where}, {columns[option]!r}, row {row}"
                raise UserError(place, expected="a text", got=flaw, cure="Mend or remove that row.")


def _column(frame: Any, where: str, option: str, column: str) -> list[Any]:
    there = list(frame.columns)
    if there.count(column) != 1:
        got = f"{', '.join(map(repr, there[:_SHOWN]))}{', ...' if len(there) > _SHOWN else ''}" or "no columns"
        raise UserError(where, expected=f"a column {column!r}, once", got=got, cure=f"Name it with {option}=NAME.")
    found: list[Any] = frame[column].tolist()
    return found


def _sets(frame: Any, where: str, labels: Sequence[str]) -> list[list[str] | None]:
    """The labels of each row, each from a column of its own."""
    rows = as_lists({label: _column(frame, where, "label", label) for label in labels}, where)
    return [None if row is None else json.loads(row) for row in rows]


def _flaw(text: Any) -> str | None:
    """What is wrong with a text; None where nothing is."""
    if not isinstance(text, str):
        return f"{type(text).__name__} {text!r}"
    if not text.strip():
        return "an empty text"
    return "half of a surrogate pair" if _is_half(text) else None


def _is_half(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _labels(given: Sequence[Any], where: str) -> list[Any]:
    """The labels as plain values of one type."""
    plain = [one.item() if isinstance(one, np.generic) else one for one in given]
    if any(isinstance(one, LISTS) for one in plain):  # several a row
        return [_list_of_words(one, where) for one in plain]
    missing = [row for row, one in enumerate(plain) if _is_missing(one)]
    if missing:
        got = f"{len(missing)} rows without, the first of them row {missing[0]}"
        cure = "Mend or remove the rows; -1 marks a row without a label in train."
        raise UserError(where, expected="a label on every row", got=got, cure=cure)
    plain = [str(one) if isinstance(one, str) else one for one in plain]
    kinds = sorted({type(one).__name__ for one in plain})
    expected = "labels of one type: words, whole numbers, or true and false"
    if len(kinds) > 1 or not isinstance(plain[0], _LABELS):
        raise UserError(where, expected=expected, got=" and ".join(kinds), cure="Convert the column, e.g. to str.")
    if (found := next(filter(_is_strange, plain), None)) is not None:
        raise UserError(where, expected=expected, got=ascii(found)[:100], cure="Mend or remove the rows.")
    return plain


def _list_of_words(given: Any, where: str) -> list[str] | None:
    """The labels of a row that may bear several; None where nobody has said which."""
    try:
        if isinstance(given, LISTS):
            return each_word(given)
        return [word] if (word := as_word(given)) else None
    except TypeError as error:
        expected, cure = "lists of labels", "Keep one list a row."
        raise UserError(where, expected=expected, got=ascii(given)[:100], cure=cure) from error


def _is_strange(label: Any) -> bool:
    """Whether it is a word or a number that Parquet does not take."""
    return _is_half(label) if isinstance(label, str) else isinstance(label, int) and label.bit_length() > 63


def _is_missing(label: Any) -> bool:
    """Whether it is None, NaN, pandas' NA or NaT, or a word without letters."""
    import pandas as pd

    if isinstance(label, float):
        return math.isnan(label)
    return label is None or label is pd.NA or label is pd.NaT or (isinstance(label, str) and not label.strip())


def _digest(split: FrameRows) -> str:
    parts = [split.texts, split.pairs, split.labels, *([] if split.ids is None else [split.ids])]
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _write(split: FrameRows, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    columns = {TEXT: split.texts} | ({LABEL: split.labels} if split.labels else {})
    columns |= {PAIR: split.pairs} if split.pairs is not None else {}
    columns |= {ID: split.ids} if split.ids is not None else {}
    pa.parquet.write_table(pa.table(columns), path)
