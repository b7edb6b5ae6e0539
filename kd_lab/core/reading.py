"""Reads files that anyone may have made: what is wrong with one is a clear line, whatever a library says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kd_lab.core.errors import FitError, UserError

LARGEST_JSON = 64 * 2**20  # bytes; a config or a result has some thousands
_SHOWN = 300  # letters of a library's complaint


@contextmanager
def reading(where: Path | str, *, expected: str, cure: str) -> Iterator[None]:
    """Turns whatever a library raises while it reads `where` into one clear line.

    Raises:
        UserError: something was raised, a panic of a library in Rust among it.
    """
    try:
        yield
    except (UserError, FitError):
        raise
    except BaseException as error:  # each library has kinds of its own, and some raise what the file leads them to
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # pyo3's cannot be imported
            raise
        raise UserError(str(where), expected=expected, got=in_one_line(error), cure=cure) from error


def in_one_line(error: BaseException) -> str:
    """A library's complaint: its first line alone, with its kind where that says more."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first_line = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first_line}"[:_SHOWN]


def read_json(path: Path, *, expected: str, cure: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        UserError: there is no such file, it is not JSON in UTF-8 or larger than `LARGEST_JSON`, a key stands in it
            twice, a number is none (NaN) or has no end, or it is no object.
    """
    with reading(path, expected=expected, cure=cure):
        with path.open("rb") as file:
            content = file.read(LARGEST_JSON + 1)
        if len(content) > LARGEST_JSON:
            raise UserError(str(path), expected=expected, got=f"more than {LARGEST_JSON} bytes", cure=cure)
        found = json.loads(content.decode(), parse_constant=_no_number, object_pairs_hook=_once)
        content.decode() if b"\\u" not in content else json.dumps(found, ensure_ascii=False).encode()  # no half letters
    if not isinstance(found, dict):
        raise UserError(str(path), expected=expected, got=f"JSON that is {_kind(found)}", cure=cure)
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _kind(found: Any) -> str:
    return {list: "a list", str: "a text", bool: "true or false", type(None): "null"}.get(type(found), "a number")
