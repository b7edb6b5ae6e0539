"""Reads the texts that `kd-lab predict` is asked about, a chunk at a time, and names the line of what is no text."""

from __future__ import annotations

import codecs
import gzip
import io
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from kd_lab.core.errors import UserError
from kd_lab.serving.asked import flaw

CHUNK = 4096  # texts at a time: bounds memory
LONGEST = 2**24  # bytes of a line, letters of a field; a file without lines, such as a picture, is not read whole
_BOM = b"\xef\xbb\xbf"
_MARKS = (  # those of UTF-32 begin as those of UTF-16 do
    *((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32")),
    *((codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16")),
)


class InputTexts(NamedTuple):
    """Some texts in order, of pairs the other text of each, and what else stood beside them."""

    texts: list[str]  # "" where there is none and that is allowed
    seconds: list[str] | None = None
    columns: Mapping[str, Sequence[Any]] | None = None  # of a file, the texts' own among them, as they are written

    @property
    def asked(self) -> list[int]:
        """The rows that have a text, or both texts of a pair."""
        sides = [self.texts] if self.seconds is None else [self.texts, self.seconds]
        return [row for row, told in enumerate(zip(*sides, strict=True)) if all(map(str.strip, told))]


def of_arguments(texts: Sequence[str], skip_empty: bool = False) -> Iterator[InputTexts]:
    """The texts that were given as arguments.

    Args:
        skip_empty: whether one may be empty.

    Raises:
        UserError: one is empty or no text.
    """
    yield InputTexts([checked(f"text {number}", text, skip_empty) for number, text in enumerate(texts, start=1)])


def of_lines(file: BinaryIO, chunk: int = CHUNK, skip_empty: bool = False) -> Iterator[InputTexts]:
    """The lines of standard input, a text each.

    Args:
        chunk: lines at a time.
        skip_empty: whether one may be blank.

    Raises:
        UserError: a line is blank, not UTF-8 or not of text; or there is none.
    """
    lines, read = _decoded(_binary_lines(file), None), 0
    while rows := list(islice(lines, chunk)):
        read += len(rows)
        yield InputTexts(
            [checked(f"standard input, line {number}", line.rstrip("\r\n"), skip_empty) for number, line in rows]
        )
    if not read:
        raise UserError("standard input", expected="a text a line", got="nothing", cure="Give texts, or --csv FILE.")


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, text with its line break) of each line of a file, in UTF-8 or what its first bytes tell.

    Args:
        path: unpacked where its name ends in .gz.

    Raises:
        UserError: a line is too long or in another encoding; of a damaged .gz, gzip raises its own.
    """
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        start = file.peek(4)[:4]
        marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
        if marked is None:
            yield from _decoded(_binary_lines(file), path)
            return
        wide = io.TextIOWrapper(file, encoding=marked, newline="")
        try:
            for number, line in enumerate(iter(lambda: wide.readline(LONGEST + 1), ""), start=1):
                _check_length(line, f"{path}, line {number}")
                yield number, line
        except UnicodeError as error:
            expected, cure = f"{marked}, as its first bytes say", "Save the file anew in UTF-8."
            raise UserError(str(path), expected=expected, got=str(error), cure=cure) from error


def checked(where: str, text: Any, skip_empty: bool) -> str:
    """The text; "" where there is none and that is allowed.

    Raises:
        UserError: it is none.
    """
    text = "" if text is None else text
    if skip_empty and isinstance(text, str) and not text.strip():
        return ""
    if (got := flaw(text)) is not None:
        empty = isinstance(text, str) and not text.strip()
        cure = "Leave it out or mend it" + (", or pass over such rows with --skip-empty." if empty else ".")
        raise UserError(where, expected="a text", got=got, cure=cure)
    found: str = text
    return found


def _decoded(lines: Iterable[bytes], path: Path | None) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of lines in UTF-8; of standard input where there is no path."""
    for number, line in enumerate(lines, start=1):
        here = f"{path or 'standard input'}, line {number}"
        _check_length(line, here)
        try:
            yield number, (line.removeprefix(_BOM) if number == 1 else line).decode()
        except UnicodeDecodeError as error:
            got = f"byte 0x{line[error.start]:02x} at place {error.start + 1}"
            cure = _conversion(line if number == 1 else b"", path)
            raise UserError(here, expected="UTF-8", got=got, cure=cure) from error


def _check_length(line: str | bytes, where: str) -> None:
    if len(line) > LONGEST:
        got = f"more than {LONGEST} bytes"
        raise UserError(where, expected="a line of text", got=got, cure="Give a text file in UTF-8.")


def _conversion(start: bytes, path: Path | None) -> str:
    """The command that makes UTF-8 of it: from what a mark at its start tells, else from Windows in the west."""
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    told = "Convert it" if marked else "Convert it, e.g. from WINDOWS-1252,"
    command = f"iconv -f {marked or 'WINDOWS-1252'} -t UTF-8"
    if path is None:
        return f"{told} with {command} FILE | kd-lab predict --model DIR"
    packed = path.suffix.lower() == ".gz"
    plain = path.with_suffix("") if packed else path
    new = shlex.quote(str(plain.with_name(f"{plain.stem}.utf8{plain.suffix}")))
    name = shlex.quote(str(path))
    command = f"gzip -dc {name} | {command} > {new}" if packed else f"{command} {name} > {new}"
    return f"{told} and give --csv {new}: {command}"


def _binary_lines(file: Any) -> Iterable[bytes]:
    return iter(lambda: file.readline(LONGEST + 1), b"")
