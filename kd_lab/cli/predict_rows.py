"""The rows of a file with columns, a few at a time: CSV, JSON Lines or Parquet, as the data sets read them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from kd_lab.cli.predict_input import CHUNK, LONGEST, lines_of
from kd_lab.core.errors import UserError
from kd_lab.data.csv_file import DELIMITERS

JSON_LINES, PARQUET = (".jsonl",), (".parquet",)  # how such files end; all others are CSV
_INT64 = 2**63
Row = tuple[str, list[Any]]  # where it stands in the file, and its values in the order of the names


class RowReader(Protocol):
    """What is read of a file.

    Attributes:
        names: of its columns, in order.
        types: of each column in Parquet (pyarrow's); None for text.
    """

    names: list[str]
    types: list[Any]

    def read(self, blank: bool) -> Iterator[Row]:
        """All rows; may be read again.

        Args:
            blank: whether a blank line is a row whose values are all empty.
        """


def ending(path: Path) -> str:
    """How a file's name ends, in small letters, without the .gz of one that is packed."""
    name = path.name.lower()
    return Path(name.removesuffix(".gz")).suffix


def rows_of(path: Path, wanted: Sequence[str]) -> RowReader:
    """The file's rows.

    Args:
        path: a file.
        wanted: columns by which the delimiter of a CSV file is found.

    Raises:
        UserError: it holds none; libraries raise their own of what is damaged.
    """
    kind = ending(path)
    if kind in PARQUET:
        return ParquetRows(path)
    return JsonRows(path) if kind in JSON_LINES else CsvRows(path, wanted)


class CsvRows:
    """Fields of a CSV file with a header line, all of them texts; see `RowReader`."""

    def __init__(self, path: Path, wanted: Sequence[str]) -> None:
        csv.field_size_limit(LONGEST)
        self._path = path
        first = next((line for _, line in lines_of(path) if line.strip()), None)
        if first is None:
            raise _wrong(path, "a header line and rows", "an empty file", "Fill it.")
        marks = "\t" + DELIMITERS if ending(path) == ".tsv" else DELIMITERS
        self._delimiter = next((mark for mark in marks if {*wanted} <= {*_fields(first, mark)}), marks[0])
        self.names = next(row for _, row in self._parsed() if row)
        self.types = [None] * len(self.names)

    def read(self, blank: bool) -> Iterator[Row]:
        """The rows below the header; each has as many fields as that."""
        rows = self._parsed()
        next(row for _, row in rows if row)
        for line, row in rows:
            if not row and not blank:
                continue
            if row and len(row) != len(self.names):
                got = f"{len(row)} in line {line}"
                raise _wrong(self._path, f"{len(self.names)} fields", got, "Quote texts that hold commas.")
            yield f"line {line}", row or [""] * len(self.names)

    def _parsed(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader((line for _, line in lines_of(self._path)), delimiter=self._delimiter, strict=True)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            got = f"{error} in line {reader.line_num}"
            raise _wrong(self._path, "CSV", got, "Quote texts that hold commas, quotes or line breaks.") from error


class JsonRows:
    """The objects of a file with one a line; a key that an object lacks is null; see `RowReader`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kinds: dict[str, set[str]] = {}
        for _, row in self._parsed():
            for name, value in (row or {}).items():
                kinds.setdefault(name, set()).add(_kind(value))
        self.names, self.types = list(kinds), [_arrow_type(found) for found in kinds.values()]

    def read(self, blank: bool) -> Iterator[Row]:
        """The lines' objects."""
        for line, row in self._parsed():
            if row is not None or blank:
                yield f"line {line}", [(row or {}).get(name) for name in self.names]

    def _parsed(self) -> Iterator[tuple[int, dict[str, Any] | None]]:
        for number, line in lines_of(self._path):
            where = f"{self._path}, line {number}"
            try:
                row = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError) as error:
                raise _wrong(where, "a JSON object", str(error), "Give an object a line, or CSV.") from error
            if row is not None and not isinstance(row, dict):
                raise _wrong(where, "a JSON object", f"JSON that is a {type(row).__name__}", "Give an object a line.")
            yield number, row


class ParquetRows:
    """The rows of a Parquet file, in no more memory than some thousands of them take; see `RowReader`."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet

        self._path = path
        with pyarrow.parquet.ParquetFile(path) as file:
            self.names, self.types = list(file.schema_arrow.names), list(file.schema_arrow.types)

    def read(self, blank: bool) -> Iterator[Row]:
        """The rows, numbered from 1."""
        import pyarrow.parquet

        number = 0
        with pyarrow.parquet.ParquetFile(self._path) as file:
            for piece in file.iter_batches(CHUNK, use_threads=False):
                columns = [column.to_pylist() for column in piece.columns]
                for row in zip(*columns, strict=True):
                    number += 1
                    yield f"row {number}", list(row)


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _kind(value: Any) -> str:
    """The type of a value of JSON, by Python's name; whole numbers that Parquet has no room for are texts."""
    return "str" if isinstance(value, int) and not -_INT64 <= value < _INT64 else type(value).__name__


def _arrow_type(kinds: set[str]) -> str | None:
    """The column's type by pyarrow's name; None, for text, where there are several."""
    told = kinds - {"NoneType"}
    told = {"float"} if told == {"int", "float"} else told
    return {"bool": "bool", "int": "int64", "float": "double"}.get(*told) if len(told) == 1 else None


def _wrong(where: Path | str, expected: str, got: str, cure: str) -> UserError:
    return UserError(str(where), expected=expected, got=got, cure=cure)
