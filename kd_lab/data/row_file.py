"""Files of rows that are no CSV: JSON Lines, JSON, Parquet and Arrow; known by their ending or their first bytes."""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.class_names import class_names, with_names
from kd_lab.data.csv_file import encoding_of, is_packed, opened
from kd_lab.data.parquet_file import read_arrow_columns, read_columns

Kind = Literal["csv", "json", "parquet", "arrow"]
_ENDINGS: dict[str, Kind] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "json"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".arrow", ".feather"), "arrow"),
}
ENDINGS = tuple(_ENDINGS)
PACKED = (".gz", ".bz2", ".xz")
_STARTS: dict[bytes, Kind] = {b"PAR1": "parquet", b"ARROW1": "arrow", b'{"': "json", b'[{"': "json"}
_TABLES = (".xlsx", ".xlsm", ".xls", ".ods")


def ending(path: Path) -> str:
    """How the file's name ends, without what says how it is packed; in small letters."""
    name = path.name.lower()
    return Path(name.removesuffix(next((one for one in PACKED if name.endswith(one)), ""))).suffix


def kind_of(path: Path) -> Kind:
    """What kind of file it is.

    Raises:
        UserError: it is a spreadsheet, or Parquet or Arrow that is packed once more.
    """
    if path.suffix.lower() in _TABLES:
        cure = "Save it as CSV UTF-8 and name that file."
        raise UserError(f"dataset file {path}", expected="a file of rows", got="a spreadsheet", cure=cure)
    if (told := _ENDINGS.get(ending(path))) is not None and told != "csv":
        if told != "json" and is_packed(path):
            cure = f"Unpack it, e.g. gunzip -k {shlex.quote(str(path))}, and name what comes out."
            raise UserError(f"dataset file {path}", expected=told.capitalize(), got="a packed file", cure=cure)
        return told
    with path.open("rb") as file:
        start = file.read(8)
    return next((kind for mark, kind in _STARTS.items() if start.startswith(mark)), "csv")


def read_rows(path: Path, kind: Kind, wanted: Sequence[str], label: str, encoding: str) -> dict[str, list[Any]]:
    """Column -> its values; the names alone, each without values, where one that is wanted is not there.

    Args:
        kind: all but CSV.
        label: the column whose numbers become names, where the file itself names its classes.
        encoding: of JSON.

    Raises:
        UserError: the file is damaged.
    """
    where = f"dataset file {path}"
    words = {"json": f"JSON Lines in {encoding}", "parquet": "Parquet", "arrow": "Arrow"}[kind]
    with reading(where, expected=words, cure="Mend it, or copy or download it again."):
        if kind == "json":
            return _json(path, wanted, encoding_of(path, encoding))
        table = (read_columns if kind == "parquet" else read_arrow_columns)(path, wanted)
        found: dict[str, list[Any]] = {name: table[name].to_pylist() for name in wanted if name in table.column_names}
        if len(found) < len(set(wanted)) or sum(map(len, found.values())) == 0:
            return {name: [] for name in table.column_names}
        names = class_names(table.schema.field(label), table.schema.metadata, where)
    if names is not None:
        found[label] = [with_names(number, names, where) for number in found[label]]
    return found


def json_lines(path: Path, encoding: str) -> Iterator[dict[str, Any]]:
    """The rows of JSON Lines, one after the other.

    Raises:
        ValueError: a line is no JSON, or no object with names.
    """
    with _opened_json(path, encoding) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _named(_row(line, number))


def sound(value: Any) -> Any:
    """A text without the halves of surrogate pairs, which JSON can spell and UTF-8 cannot hold; None instead of NaN."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="ignore").decode()
    return None if value != value else value  # noqa: PLR0124 - NaN alone


def _json(path: Path, wanted: Sequence[str], encoding: str) -> dict[str, list[Any]]:
    with _opened_json(path, encoding) as file:
        is_list = next((line for line in file if line.strip()), "").lstrip().startswith("[")
    rows: Iterable[dict[str, Any]] = json_lines(path, encoding)
    if is_list:
        with _opened_json(path, encoding) as file:
            rows = map(_named, json.load(file))
    names: dict[str, None] = {}
    found: dict[str, list[Any]] = {name: [] for name in wanted}
    for row in rows:
        names.update(dict.fromkeys(row))
        for name, values in found.items():
            values.append(sound(row.get(name)))
    return found if all(name in names for name in wanted) else {name: [] for name in names}


def _opened_json(path: Path, encoding: str) -> TextIO:
    told = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    return io.TextIOWrapper(opened(path), encoding=told, newline="\n")


def _named(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"a row that is {type(row).__name__}, no object with names")
    return row


def _row(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
