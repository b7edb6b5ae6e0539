"""What a CSV file is written in: its encoding, its delimiter and its header line."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from pathlib import Path

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = ",;\t|"
_HEADER = 2**20  # letters that a header line may have


def encoding_of(path: Path, encoding: str) -> str:
    """The encoding that a byte order mark tells, as nothing else begins with one; else the one that was given."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((found for mark, found in _MARKS.items() if start.startswith(mark)), encoding)  # UTF-32's come first


def other_encoding(path: Path) -> str:
    """The cure for a file that is in another encoding than was said."""
    try:
        with path.open(
            encoding="cp1252"
        ) as file:  # what Windows writes in the west: latin-1 lacks its quotes and dashes
            while file.read(2**20):
                pass
    except UnicodeDecodeError:
        return "Name it, e.g. dataset.encoding=latin-1."
    return "Name it, e.g. dataset.encoding=cp1252."


def header_of(path: Path, encoding: str, columns: Sequence[str]) -> tuple[list[str], str]:
    """The names in the first line, and the delimiter: the first of `DELIMITERS` by which all `columns` are there.

    Where there is none, names by comma; no names where the line cannot be read, which reading the rows will tell.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            first = next((line for line in iter(lambda: file.readline(_HEADER), "") if line.strip()), "")
        headers = {mark: next(csv.reader([first.removeprefix("\ufeff")], delimiter=mark), []) for mark in DELIMITERS}
    except (UnicodeError, LookupError, ValueError, csv.Error):
        return [], ","
    found = [mark for mark, header in headers.items() if set(columns) <= set(header)]
    delimiter = found[0] if found else ","
    return headers[delimiter], delimiter
