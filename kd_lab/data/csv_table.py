"""Reads a CSV file as a table of words, or says in one line what is wrong with it and how to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from kd_lab.core.as_typed import shell_override
from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.csv_file import (
    encoding_of,
    first_rows,
    header_of,
    is_packed,
    opened,
    other_encoding,
    quoting_of,
    sniffed,
)
from kd_lab.data.label_columns import is_of_several, named_by

_SHOWN = 20  # names of columns that an error lists
_LONG = 40  # letters from which a name of a column is taken for a text


def read_csv(
    path: Path,
    wanted: Mapping[str, str],
    encoding: str,
    delimiter: str | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """All rows as words, NaN where a field is empty.

    Args:
        wanted: option, such as `text`, -> the column that must be there.
        delimiter: None finds it.
        columns: names of the columns of a file without a header line; None takes the first line's.

    Raises:
        UserError: the file is empty or in another encoding, a column is missing, or the rows are not CSV.
    """
    where = f"dataset file {path}"
    with _telling(where, encoding, path):
        told = encoding_of(path, encoding)
        if columns is None:
            header, mark = header_of(path, told, list(wanted.values()), delimiter)
            if delimiter is not None and not set(wanted.values()) <= set(header):
                found, other = header_of(path, told, list(wanted.values()))
                if set(wanted.values()) <= set(found):
                    got, cure = f"a header that {other!r} cuts into them", "Leave dataset.delimiter out."
                    raise UserError(where, expected=f"columns cut by {mark!r}", got=got, cure=cure)
            if header:
                rows = [] if set(wanted.values()) <= set(header) else first_rows(path, told, mark)
                refuse_missing(where, header, wanted, _header_cure(rows, wanted))
        else:
            header, mark = list(columns), delimiter or sniffed(path, told, len(columns))
            _refuse_wrong_names(where, header, wanted, first_rows(path, told, mark))
        head, names = (0, None) if columns is None else (None, header)
        with opened(path) as file:
            source = file if is_packed(path) else path
            options = {"dtype": str, "keep_default_na": False, "na_values": [""], "header": head, "names": names}
            options |= {"quoting": quoting_of(path, told, mark, len(header))}
            table = pd.read_csv(source, encoding=told, sep=mark, **options)
    if _in_excess(table):
        got = "more fields in the rows than in the header" if columns is None else "more fields than dataset.columns"
        held = "commas" if mark == "," else repr(mark)
        raise UserError(where, expected="CSV", got=got, cure=f"Quote texts that hold {held}.")
    if not header:  # a line that nobody could cut before pandas did
        refuse_missing(where, [str(name) for name in table.columns], wanted)
    if len(header) == len(table.columns):
        table.columns = pd.Index(header)  # without the blanks around them
    return table


def csv_chunks(
    path: Path, wanted: Sequence[str], encoding: str, delimiter: str | None, rows: int
) -> Iterator[pd.DataFrame]:
    """All rows as words, "" where a field is empty, so many at a time; the first chunk may have none.

    Args:
        wanted: columns by which the delimiter is found; whether they are there is the caller's to look.
        delimiter: None finds it.

    Raises:
        ValueError: the rows have more fields than the header; pandas raises others of a file that is no CSV.
    """
    told = encoding_of(path, encoding)
    header, mark = header_of(path, told, wanted, delimiter)
    with opened(path) as file:
        source = file if is_packed(path) else path
        options = {"dtype": str, "keep_default_na": False, "chunksize": rows}
        options |= {"quoting": quoting_of(path, told, mark, len(header))}
        with pd.read_csv(source, encoding=told, sep=mark, **options) as tables:
            for number, table in enumerate(tables):
                if not number and _in_excess(table):
                    raise ValueError("more fields in the rows than in the header")
                if len(set(header)) == len(table.columns):
                    table.columns = pd.Index(header)  # without the blanks around them
                yield table


def refuse_missing(where: str, header: Sequence[str], wanted: Mapping[str, str], cure: str | None = None) -> None:
    """Refuses a table in which a column is not there, or twice.

    Args:
        header: all names.
        wanted: option, such as `text`, -> column.
        cure: what to do instead of naming another column.

    Raises:
        UserError: naming the columns that are there.
    """
    missing = {option: column for option, column in wanted.items() if header.count(column) != 1}
    if not missing:
        return
    there = f"{', '.join(map(repr, header[:_SHOWN]))}{', ...' if len(header) > _SHOWN else ''}"[:500]
    columns = " and ".join(dict.fromkeys(map(repr, missing.values())))
    expected = f"a column {columns}, once" if len(missing) == 1 else f"columns {columns}, each once"
    raise UserError(
        where,
        expected=expected,
        got=there or "no columns",
        cure=(cure or "{}").format(_named_so([name for name in header if name not in wanted.values()], missing)),
    )


def _named_so(header: Sequence[str], missing: Mapping[str, str]) -> str:
    """By which options columns are named that are not there, with those of `header` that are likely meant."""
    options = " ".join(dict.fromkeys(map(named_by, missing)))
    if any(map(is_of_several, missing)):
        return f"Name {'it' if len(missing) == 1 else 'them'} with {options}."
    near = {option: _near(header, column) for option, column in missing.items()}
    others = [name for name in header if name not in near.values() and header.count(name) == 1]
    if len(missing) > 1 and list(near.values()).count(None) == 1 and len(others) == 1:
        near = {option: name or others[0] for option, name in near.items()}
    likely = " ".join(shell_override(f"dataset.{option}_column", name) for option, name in near.items() if name)
    return f"Name {'it' if len(missing) == 1 else 'them'} with {options}{likely and f', e.g. {likely}'}."


def _near(header: Sequence[str], column: str) -> str | None:
    """The first column of that name but for blanks and case, where it comes once."""
    found = next((name for name in header if name.strip().lower() == column.strip().lower()), None)
    return None if found is None or header.count(found) > 1 else found


def _header_cure(rows: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> str:
    """What to do where a column is missing; "{}" stands for naming another one."""
    if len(rows) < 2 or {name.strip().lower() for name in rows[0]} & {name.lower() for name in wanted.values()}:
        return "{}"
    if len(rows[0]) < len(wanted) or any(map(is_of_several, wanted)):
        return "{}"
    option = shell_override("dataset.columns", _guessed(rows, wanted)).replace("{", "{{").replace("}", "}}")
    if _is_row(rows):
        return f"The first line looks like a row, not like names of columns: name them with {option}."
    return f"{{}} Where the first line is a row already, name the columns with {option}."


def _is_row(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is one like the others: a field that comes again below it, a number, a long text."""
    for place, name in enumerate(rows[0]):
        below = [row[place] for row in rows[1:] if place < len(row)]
        if len(name) > _LONG or name in below or name.replace(".", "", 1).isdecimal():
            return True
    return False


def _guessed(rows: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> list[str]:
    """Names of the columns by what stands in them: texts are the longest, of the others labels the least different."""
    fields = [[row[place] for row in rows if place < len(row)] for place in range(len(rows[0]))]
    names = [f"column{place}" for place in range(1, len(fields) + 1)]
    longest = sorted(range(len(fields)), key=lambda place: -sum(map(len, fields[place])) / len(fields[place]))
    several = len(wanted.keys() - {"label", "id"})
    texts = sorted(longest[:several])
    rest = longest[several:]
    label = min(rest, key=lambda place: (len(set(fields[place])) < 2, len(set(fields[place]))))
    left = [place for place in rest if place != label]
    for option, column in wanted.items():
        if option != "id":
            names[label if option == "label" else texts.pop(0)] = column
        elif left:
            names[max(left, key=lambda place: len(set(fields[place])))] = column
    return names


def _refuse_wrong_names(
    where: str, names: Sequence[str], wanted: Mapping[str, str], rows: Sequence[Sequence[str]]
) -> None:
    """Refuses `dataset.columns` that do not fit the file or the columns that are asked for."""
    cure = "Name every column of the file, in order; where its first line has their names, leave dataset.columns out."
    if rows and [name.strip() for name in rows[0]] == list(names):
        got = "a first line with these very names"
        raise UserError(f"{where}, dataset.columns", expected="a file without a header line", got=got, cure=cure)
    if missing := next((column for column in wanted.values() if list(names).count(column) != 1), None):
        got = ", ".join(map(repr, names))
        raise UserError("dataset.columns", expected=f"{missing!r} among them, once", got=got, cure=cure)
    if rows and not any(len(row) == len(names) for row in rows):
        expected = f"{len(rows[0])} names, one for each column"
        raise UserError(f"{where}, dataset.columns", expected=expected, got=str(len(names)), cure=cure)


def _in_excess(table: pd.DataFrame) -> bool:
    """Whether rows have more fields than the header, of which pandas makes an index."""
    return len(table) > 0 and not (isinstance(table.index, pd.RangeIndex) or _counts(table.index))


def _counts(index: pd.Index) -> bool:
    """Whether an index counts the rows from 0 or 1, as R writes it: without a name in the header."""
    numbers = pd.to_numeric(pd.Series(index), errors="coerce").to_numpy() if index.nlevels == 1 else np.array([-1.0])
    return bool(numbers[0] in (0, 1) and (numbers == np.arange(len(numbers)) + numbers[0]).all())


@contextmanager
def _telling(where: str, encoding: str, path: Path) -> Iterator[None]:
    """Turns what pandas raises while it reads the file into one clear line."""
    with reading(where, expected="CSV", cure="Quote texts that hold commas, quotes or line breaks."):
        try:
            yield
        except (UnicodeError, LookupError) as error:
            raise UserError(where, expected=f"text in {encoding}", got=str(error), cure=other_encoding(path)) from error
        except pd.errors.EmptyDataError as error:
            raise UserError(where, expected="a header line and rows", got="an empty file", cure="Fill it.") from error
