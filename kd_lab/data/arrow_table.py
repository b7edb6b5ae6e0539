"""The rows of a split as an Arrow table, whatever files they lie in, and what its columns say."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.class_names import is_list
from kd_lab.data.csv_table import read_csv
from kd_lab.data.label_columns import as_lists, is_of_several, named_by
from kd_lab.data.label_sets import as_words
from kd_lab.data.labels import as_word, several_labels
from kd_lab.data.parquet_file import read_arrow_columns, read_columns
from kd_lab.data.row_file import kind_of, read_rows
from kd_lab.data.row_ids import read_ids

if TYPE_CHECKING:
    import pyarrow as pa


class Columns(NamedTuple):
    """The columns that a data set is made of."""

    texts: list[Any]  # str, or None where there is none
    pairs: list[Any] | None
    labels: list[Any]  # all of one type, or None or "" where there is none; lists where a row may bear several
    ids: list[str] | None = None


def read_table(paths: Iterable[Path], wanted: Mapping[str, str], multi_label: bool = False) -> pa.Table:
    """The rows of all files, one below the other.

    Args:
        wanted: option, such as `text`, -> column.
        multi_label: whether a row may bear several labels.

    Raises:
        UserError: a file is damaged, or its columns are of other types than those of the file before.
    """
    import pyarrow as pa

    tables: list[pa.Table] = []
    for path in paths:
        with reading(f"dataset file {path}", expected=_FORMATS[kind_of(path)], cure="Copy or download it again."):
            tables.append(_read(path, wanted, multi_label))
            if tables[-1].schema != tables[0].schema:
                raise ValueError("columns of other types than in the files before it")
    return pa.concat_tables(tables)


def columns_of(table: pa.Table, where: str, wanted: Mapping[str, str], multi_label: bool = False) -> Columns:
    """The texts, the texts that they are paired with, and the labels.

    Args:
        where: the split, for errors.
        wanted: option, such as `text`, -> column.
        multi_label: whether a row may bear several labels.

    Raises:
        UserError: a column is missing or of another type, or rows have no label.
    """
    import pyarrow as pa

    for option, column in wanted.items():
        if table.column_names.count(column) != 1:
            raise UserError(
                where,
                expected=f"a column {column!r}",
                got=", ".join(map(repr, table.column_names))[:500] or "no columns",
                cure=f"Name it with {named_by(option)}.",
            )
    for option, column in wanted.items():
        if option in ("label", "id") or is_of_several(option):
            continue
        kind = _plain(table[column]).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            cure = f"Name another: dataset.{option}_column."
            raise UserError(f"{where}, column {column!r}", expected="texts", got=str(kind), cure=cure)
    if several := [column for option, column in wanted.items() if is_of_several(option)]:
        labels = as_lists({column: _plain(table[column]).to_pylist() for column in several}, where)
    else:
        labels = _labels(table[wanted["label"]], f"{where}, column {wanted['label']!r}", multi_label).to_pylist()
    ids = None
    if "id" in wanted:
        ids = read_ids(_plain(table[wanted["id"]]).to_pylist(), f"{where}, column {wanted['id']!r}")
    with reading(where, expected="texts in UTF-8", cure="Copy or download the files again."):
        pairs = _plain(table[wanted["pair"]]).to_pylist() if "pair" in wanted else None
        return Columns(_plain(table[wanted["text"]]).to_pylist(), pairs, labels, ids)


_FORMATS = {"parquet": "Parquet", "arrow": "Arrow", "json": "JSON Lines", "csv": "CSV"}


def _read(path: Path, wanted: Mapping[str, str], multi_label: bool) -> pa.Table:
    import pyarrow as pa

    kind, names = kind_of(path), list(dict.fromkeys(wanted.values()))
    if kind == "parquet":
        return read_columns(path, names)
    if kind == "arrow":
        return read_arrow_columns(path, names)
    if kind == "csv":
        with _as_a_single_file(path):
            table = read_csv(path, wanted, "utf-8")
        return pa.table({name: pa.array(table[name].where(table[name].notna(), None), pa.string()) for name in names})
    labels = [column for option, column in wanted.items() if option == "label" or is_of_several(option)]
    found = read_rows(path, kind, names, labels[0], "utf-8")
    if not set(names) <= set(found):
        return pa.table({name: pa.array([], pa.null()) for name in found})
    word = as_words if multi_label and "label" in wanted else as_word
    for column in labels:
        try:
            found[column] = list(map(word, found[column]))
        except TypeError as error:
            raise several_labels(f"dataset file {path}, column {column!r}") from error
    if "id" in wanted and list(wanted.values()).count(wanted["id"]) == 1:  # rows of JSON may say 7 and "7"
        found[wanted["id"]] = read_ids(found[wanted["id"]], f"dataset file {path}, column {wanted['id']!r}")
    return pa.table({name: pa.array(found[name]) for name in names})


@contextmanager
def _as_a_single_file(path: Path) -> Iterator[None]:
    """Of a CSV file in a folder: a cure by an option that folders have not is one by a data set that has it."""
    try:
        yield
    except UserError as error:
        if not any(f"dataset.{option}" in error.cure for option in ("encoding", "columns", "delimiter")):
            raise
        files = f"dataset=csv dataset.path={shlex.quote(str(path))} takes each split as a file, see dataset.test_path."
        raise UserError(error.where, expected=error.expected, got=error.got, cure=f"{error.cure} {files}") from error


def _labels(labels: pa.ChunkedArray, where: str, multi_label: bool) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute

    labels = _plain(labels)
    if is_list(labels.type):
        if multi_label and _is_label(labels.type.value_type):
            return labels
        raise several_labels(where)
    if not _is_label(labels.type):
        expected, cure = "labels: words or whole numbers", "Name another: dataset.label_column."
        raise UserError(where, expected=expected, got=str(labels.type), cure=cure)
    words = pa.types.is_string(labels.type) or pa.types.is_large_string(labels.type)
    if words and labels.null_count < len(labels):  # as an empty word
        return labels
    if missing := pyarrow.compute.sum(labels.is_null(nan_is_null=True)).as_py():
        cure = "Mend or remove the rows; -1 marks a row without a label in train."
        raise UserError(where, expected="a label on every row", got=f"{missing} rows without", cure=cure)
    return labels


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column without the dictionary of its categories."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _is_label(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = ("is_string", "is_large_string", "is_integer", "is_boolean", "is_floating", "is_null")
    return any(getattr(pa.types, test)(kind) for test in tests)
