"""Reads the texts that `kd-lab predict` is asked about, a chunk at a time, and names the line of what is no text."""

from __future__ import annotations

import codecs
import csv
import shlex
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

from kd_lab.core.errors import UserError
from kd_lab.serving.text_classifier import flaw

CHUNK = 4096  # texts at a time: bounds memory
LONGEST = 2**24  # bytes of a line, letters of a field; a file without lines, such as a picture, is not read whole
_BOM = b"\xef\xbb\xbf"
_MARKS = (  # those of UTF-32 begin as those of UTF-16 do
    *((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32")),
    *((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16")),
)


class InputTexts(NamedTuple):
    """Some texts in order, and of pairs the other text of each."""

    texts: list[str]
    seconds: list[str] | None = None


def of_arguments(texts: Sequence[str]) -> Iterator[InputTexts]:
    """The texts that were given as arguments.

    Raises:
        UserError: one is empty or no text.
    """
    for number, text in enumerate(texts, start=1):
        _check(f"text {number}", text)
    yield InputTexts(list(texts))


def of_lines(file: BinaryIO, chunk: int = CHUNK) -> Iterator[InputTexts]:
    """The lines of standard input, a text each.

    Raises:
        UserError: a line is blank, not UTF-8 or not of text; or there is none.
    """
    lines, read = _numbered(file), 0
    while rows := list(islice(lines, chunk)):
        read += len(rows)
        texts = [line.rstrip("\r\n") for _, line in rows]
        for (number, _), text in zip(rows, texts, strict=True):
            _check(f"standard input, line {number}", text)
        yield InputTexts(texts)
    if not read:
        raise UserError("standard input", expected="a text a line", got="nothing", cure="Give texts, or --csv FILE.")


class Table:
    """The rows of a CSV file in UTF-8 with a header line, checked to the last one before the first is answered.

    Args:
        path: a file, which is read twice.
        text: the column of the texts.
        pair: the column of the other texts of pairs, or None.

    Raises:
        UserError: there is no such file or column, a row is not CSV, not UTF-8, or has no text.
    """

    def __init__(self, path: Path, text: str, pair: str | None) -> None:
        self._path, self._columns = path, [text] if pair is None else [text, pair]
        csv.field_size_limit(LONGEST)
        if not path.is_file():
            got = "a folder" if path.is_dir() else "something else" if path.exists() else "no such file"
            raise UserError(f"--csv {path}", expected="a CSV file", got=got, cure="Name the file.")
        self.rows = sum(1 for _ in self._read(check=True))
        if not self.rows:
            raise self._wrong("rows below the header", "none", "Give a file that has some.")

    def chunks(self) -> Iterator[InputTexts]:
        """All rows, `CHUNK` at a time."""
        rows = self._read(check=False)
        while some := list(islice(rows, CHUNK)):
            yield InputTexts([row[0] for row in some], None if len(self._columns) == 1 else [row[1] for row in some])

    def _read(self, check: bool) -> Iterator[list[str]]:
        """The wanted fields of each row."""
        with self._path.open("rb") as file:
            reader = csv.reader((line for _, line in _numbered(file, self._path)), strict=True)
            try:
                header = next(reader, None)
                if header is None:
                    raise self._wrong("a header line and rows", "an empty file", "Fill it.")
                places = [self._place(header, column) for column in self._columns]
                for row in filter(None, reader):
                    if len(row) != len(header):
                        got = f"{len(row)} in line {reader.line_num}"
                        raise self._wrong(f"{len(header)} fields", got, "Quote texts that hold commas.")
                    found = [row[place] for place in places]
                    for column, text in zip(self._columns, found if check else (), strict=check):
                        _check(f"{self._path}, line {reader.line_num}, column {column!r}", text)
                    yield found
            except csv.Error as error:
                got = f"{error} in line {reader.line_num}"
                raise self._wrong("CSV", got, "Quote texts that hold commas, quotes or line breaks.") from error

    def _place(self, header: list[str], column: str) -> int:
        if column in header:
            return header.index(column)
        option = "--text-column" if column == self._columns[0] else "--pair-column"
        there = ", ".join(map(repr, header))[:500]
        raise self._wrong(f"a column {column!r}", there, f"Name it with {option} NAME.")

    def _wrong(self, expected: str, got: str, cure: str) -> UserError:
        return UserError(str(self._path), expected=expected, got=got, cure=cure)


def _numbered(file: BinaryIO, path: Path | None = None) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line break) of each line; of standard input where there is no path."""
    for number, line in enumerate(_lines(file), start=1):
        here = f"{path or 'standard input'}, line {number}"
        if len(line) > LONGEST:
            got = f"more than {LONGEST} bytes"
            raise UserError(here, expected="a line of text", got=got, cure="Give a text file in UTF-8.")
        try:
            yield number, (line.removeprefix(_BOM) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            got = f"byte 0x{line[error.start]:02x} at place {error.start + 1}"
            cure = _conversion(line if number == 1 else b"", path)
            raise UserError(here, expected="UTF-8", got=got, cure=cure) from error


def _conversion(start: bytes, path: Path | None) -> str:
    """The command that makes UTF-8 of it: from what a mark at its start tells, else from Windows in the west."""
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    told = "Convert it" if marked else "Convert it, e.g. from WINDOWS-1252,"
    command = f"iconv -f {marked or 'WINDOWS-1252'} -t UTF-8"
    if path is None:
        return f"{told} with {command} FILE | kd-lab predict --model DIR"
    new = shlex.quote(str(path.with_name(f"{path.stem}.utf8{path.suffix}")))
    return f"{told} and give --csv {new}: {command} {shlex.quote(str(path))} > {new}"


def _lines(file: BinaryIO) -> Iterable[bytes]:
    return iter(lambda: file.readline(LONGEST + 1), b"")


def _check(where: str, text: str) -> None:
    if (got := flaw(text)) is not None:
        raise UserError(where, expected="a text", got=got, cure="Leave it out or mend it.")
