"""What a CSV file is written in: how it is packed, its encoding, its delimiter and its header line."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_PACKED: dict[bytes, Callable[[Path], Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
DELIMITERS = ",;\t|"
_HEADER = 2**20  # letters that a header line may have
_START = 4096  # bytes by which UTF-16 without a mark is known
_MOST_NULS = 0.3  # share of NUL at every second place, from which it is UTF-16; of no text in UTF-8 is any letter NUL
_LINES = 200  # by which a file's form is judged


def is_packed(path: Path) -> bool:
    """Whether the file is packed by gzip, bzip2 or xz, whatever it is called."""
    with path.open("rb") as file:
        return file.read(6).startswith(tuple(_PACKED))


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where they are packed."""
    with path.open("rb") as file:
        start = file.read(6)
    unpack = next((way for mark, way in _PACKED.items() if start.startswith(mark)), None)
    return cast(BinaryIO, path.open("rb") if unpack is None else unpack(path))


def encoding_of(path: Path, encoding: str) -> str:
    """The encoding that a byte order mark tells, as nothing else begins with one, or that NULs tell; else the given."""
    with opened(path) as file:
        start = file.read(_START)
    found = next((told for mark, told in _MARKS.items() if start.startswith(mark)), None)  # UTF-32's come first
    if found is None and encoding.lower() in ("utf-8", "utf8") and len(start) > 1:
        shares = [start[place::2].count(0) / len(start[place::2]) for place in (0, 1)]
        if max(shares) > _MOST_NULS and min(shares) < _MOST_NULS / 10:
            found = "utf-16-be" if shares[0] > shares[1] else "utf-16-le"
    return found or encoding


def other_encoding(path: Path) -> str:
    """The cure for a file that is in another encoding than was said."""
    decoder = codecs.getincrementaldecoder("cp1252")()  # what Windows writes in the west: latin-1 lacks its quotes
    try:
        with opened(path) as file:
            while chunk := file.read(2**20):
                decoder.decode(chunk)
    except UnicodeDecodeError:
        return "Name it, e.g. dataset.encoding=latin-1."
    return "Name it, e.g. dataset.encoding=cp1252."


def header_of(path: Path, encoding: str, columns: Sequence[str], delimiter: str | None = None) -> tuple[list[str], str]:
    """The names in the first line, and the delimiter: the first of `DELIMITERS` by which all `columns` are there.

    Where there is none, the one that `sniffed` finds; no names where the line cannot be read, which reading the rows
    will tell. Blanks around names count only where a column is called so.

    Args:
        delimiter: that of the file, where it is known.
    """
    try:
        with _text(path, encoding) as file:
            first = next(_lines(file), "")
        marks = DELIMITERS if delimiter is None else delimiter
        headers = {mark: _named(next(csv.reader([first], delimiter=mark), []), columns) for mark in marks}
    except (UnicodeError, LookupError, ValueError, csv.Error):
        return [], delimiter or ","
    found = [mark for mark, header in headers.items() if set(columns) <= set(header)]
    chosen = found[0] if found else delimiter or sniffed(path, encoding)
    return headers[chosen], chosen


def sniffed(path: Path, encoding: str, fields: int | None = None) -> str:
    """The delimiter that cuts most of the first lines into the same number of fields, two at least; else the comma.

    Args:
        fields: how many they must be.
    """
    best, most = ",", 0.0
    for mark in DELIMITERS:
        rows = first_rows(path, encoding, mark)
        lengths = Counter(map(len, rows))
        number = max(lengths, key=lengths.__getitem__, default=0) if fields is None else fields
        if (share := lengths[number] / max(len(rows), 1)) > most and number > 1:
            best, most = mark, share
    return best


def first_rows(path: Path, encoding: str, delimiter: str) -> list[list[str]]:
    """The fields of the first lines, up to one that cannot be read."""
    rows = []
    try:
        with _text(path, encoding) as file:
            for row in islice(csv.reader(_lines(file), delimiter=delimiter), _LINES):
                rows.append(row)
    except (OSError, EOFError, UnicodeError, LookupError, ValueError, csv.Error):
        pass
    return [row for row in rows if row]


def quoting_of(path: Path, encoding: str, delimiter: str, fields: int) -> int:
    """`csv.QUOTE_NONE` where quotes are letters like others, as in GLUE's files; else `csv.QUOTE_MINIMAL`.

    They are where every line has so many fields whatever is quoted, what stands between two quotes is no field, and few
    fields that begin with one end with one: a text that begins with a quote would take in all rows up to the next, and
    nobody would be told.
    """
    begun = quoted = 0
    try:
        with _text(path, encoding) as file:
            for line in _lines(file):
                parts = line.rstrip("\r\n").split(delimiter) if line.strip() else [""] * fields
                if len(parts) != fields:
                    return csv.QUOTE_MINIMAL
                if '"' in line:
                    begun += sum(part.startswith('"') for part in parts)
                    quoted += sum(part.startswith('"') and part.rstrip().endswith('"') for part in parts)
        if 2 * quoted > begun:
            return csv.QUOTE_MINIMAL
        with _text(path, encoding) as file:
            for _ in csv.reader(_lines(file), delimiter=delimiter, strict=True):
                pass
    except csv.Error as error:
        if "expected after" in str(error):  # else a file that was cut off, or a text too long for this reader
            return csv.QUOTE_NONE
    except (OSError, EOFError, UnicodeError, LookupError, ValueError):
        pass  # which reading the rows will tell
    return csv.QUOTE_MINIMAL


def _named(header: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The names in a header, without the blanks around them unless a column is called so."""
    return [name if name in columns else name.strip() for name in header]


def _text(path: Path, encoding: str) -> TextIO:
    return io.TextIOWrapper(opened(path), encoding=encoding, newline="")


def _lines(file: TextIO) -> Iterator[str]:
    """The lines from the first that is not blank on, without a byte order mark."""
    lines = iter(lambda: file.readline(_HEADER), "")
    first = next((line for line in lines if line.strip()), None)
    if first is not None:
        yield first.removeprefix("\ufeff")
        yield from lines
