"""The rows of a file of text without labels, some at a time: memory holds no more of it, however long it is."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.csv_file import encoding_of, opened
from kd_lab.data.csv_table import csv_chunks
from kd_lab.data.parquet_file import PIECE, column_pieces
from kd_lab.data.row_file import json_lines, sound

Row = TypeVar("Row")
Table = Mapping[str, Sequence[Any]]  # column -> values; the names alone, without values, where one that is wanted lacks
_BLOCK = 2**20  # bytes of lines that are read at a time
_LETTERS = 2**22  # in the rows that are held at a time


def columns_in_chunks(
    path: Path, ending: str, wanted: Sequence[str], encoding: str, where: str
) -> Iterator[list[list[str]]]:
    """The columns that are wanted, a few thousand rows at a time; "" where a row has no text.

    Args:
        ending: .txt (a text a line, which has the first of the columns alone), .csv, .tsv, .jsonl or .parquet.
        where: what errors call the file.

    Raises:
        UserError: the file cannot be read, lacks a column, or holds something that is no text.
    """
    with reading(where, expected=f"texts in {encoding}, as {ending}", cure="Mend the file, or leave it out."):
        for table in _READ[ending](path, wanted, encoding):
            for column in wanted:
                if column not in table:
                    got = ", ".join(map(repr, table)) or "none"
                    cure = "Name its columns as those of the data set are, see dataset.text_column."
                    raise UserError(where, expected=f"a column {column!r}", got=got[:500], cure=cure)
            yield [texts_of(table[column], f"{where}, column {column!r}") for column in wanted]


def texts_of(values: Sequence[Any], where: str) -> list[str]:
    """A column of texts, "" where there is none.

    Raises:
        UserError: it holds something else.
    """
    strange = next((one for one in values if one is not None and not isinstance(one, str)), None)
    if strange is not None:
        got = f"{type(strange).__name__} {strange!r}"[:200]
        raise UserError(where, expected="texts", got=got, cure="Name another column.")
    return [one or "" for one in values]


def _lines(path: Path, wanted: Sequence[str], encoding: str) -> Iterator[Table]:
    told = encoding_of(path, encoding)
    decoder = codecs.getincrementaldecoder("utf-8-sig" if told.lower() in ("utf-8", "utf8") else told)()
    packed = path.suffix.lower() == ".gz"
    with cast(BinaryIO, gzip.open(path, "rb")) if packed else opened(path) as file:
        rest = ""
        while block := file.read(max(_BLOCK, len(rest))):  # a line without an end is not read again and again
            *lines, rest = (rest + decoder.decode(block)).splitlines(keepends=True) or [""]
            yield {wanted[0]: [line.rstrip(_ENDS) for line in lines]}
        yield {wanted[0]: (rest + decoder.decode(b"", final=True)).splitlines()}


def _csv(path: Path, wanted: Sequence[str], encoding: str, delimiter: str | None = None) -> Iterator[Table]:
    for table in csv_chunks(path, wanted, encoding, delimiter, PIECE):
        yield {str(name): table[name].tolist() if name in wanted else [] for name in table.columns}


def _json(path: Path, wanted: Sequence[str], encoding: str) -> Iterator[Table]:
    names: dict[str, None] = {}

    def rows() -> Iterator[list[Any]]:
        for row in json_lines(path, encoding_of(path, encoding)):
            if not row.keys() <= names.keys():
                names.update(dict.fromkeys(row))
            yield [sound(row.get(name)) for name in wanted]

    for portion in portions(rows(), _letters, _LETTERS):
        yield dict(zip(wanted, zip(*portion, strict=True), strict=True))
    if any(name not in names for name in wanted):
        yield dict.fromkeys(names, ())


def _parquet(path: Path, wanted: Sequence[str], encoding: str) -> Iterator[Table]:
    for piece in column_pieces(path, wanted):
        yield {name: piece[name].to_pylist() if len(piece) else [] for name in piece.schema.names}


_READ: dict[str, Callable[[Path, Sequence[str], str], Iterator[Table]]] = {
    ".txt": _lines,
    ".csv": _csv,
    ".tsv": partial(_csv, delimiter="\t"),
    ".jsonl": _json,
    ".parquet": _parquet,
}
_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"  # where `splitlines` cuts


def _letters(row: Sequence[Any]) -> int:
    return sum(len(one) for one in row if isinstance(one, str))


def portions(rows: Iterable[Row], letters_of: Callable[[Row], int], most_letters: int) -> Iterator[list[Row]]:
    """As many rows at a time as `PIECE`, or fewer where their texts are long."""
    portion: list[Row] = []
    letters = 0
    for row in rows:
        portion.append(row)
        letters += letters_of(row)
        if len(portion) == PIECE or letters > most_letters:
            yield portion
            portion, letters = [], 0
    if portion:
        yield portion
