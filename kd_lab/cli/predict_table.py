"""The rows of a file that `kd-lab predict --csv` is asked about: checked to the last before the first is answered."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from kd_lab.cli.predict_input import CHUNK, InputTexts, checked
from kd_lab.cli.predict_rows import PARQUET, ending, rows_of
from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading

TEXT, PAIR = "text", "text_pair"  # what the columns of the texts are called in the answers
_TAKEN = "given."  # before the name of another column that is called like one of the answers
_SHOWN = 500  # letters of the names that an error lists


class Table:
    """The rows of a CSV, JSON Lines or Parquet file, the first two also with .gz behind their names.

    Args:
        path: a file, which is read several times.
        text: the column of the texts.
        pair: the column of the other texts of pairs, or None.
        skip_empty: whether a row may have no text; a blank line is such a row then, else it is none.
        answers: names that columns of the answers have.

    Raises:
        UserError: there is no such file or column, a row cannot be read, or has no text.

    Attributes:
        names: of all columns, as they are written: those of the texts `text` and `text_pair`, another that is called
            like one of the answers `given.NAME`.
        renamed: name in the file -> other name under which it is written.
        types: of the columns in Parquet; None for text.
    """

    def __init__(
        self,
        path: Path,
        text: str,
        pair: str | None,
        *,
        skip_empty: bool = False,
        answers: Collection[str] = (),
    ) -> None:
        self._path, self._skip_empty = path, skip_empty
        self._columns = [text] if pair is None else [text, pair]
        if not path.is_file():
            got = "a folder" if path.is_dir() else "something else" if path.exists() else "no such file"
            raise UserError(f"--csv {path}", expected="a CSV file", got=got, cure="Name the file.")
        if path.name.lower().endswith(tuple(f"{kind}.gz" for kind in PARQUET)):
            raise self._wrong("Parquet, which is packed by itself", "one that is packed again", "Unpack it: gunzip.")
        with self._reading():
            self._rows = rows_of(path, self._columns)
            self._places = [self._place(self._rows.names, column) for column in self._columns]
            self.rows = sum(1 for place, row in self._rows.read(skip_empty) if self._texts(place, row))
        if not self.rows:
            raise self._wrong("rows below the header", "none", "Give a file that has some.")
        self.types, self.names, self.renamed = self._rows.types, self._named(answers), {}
        for place, (name, new) in enumerate(zip(self._rows.names, self.names, strict=True)):
            if name != new and place not in self._places:
                self.renamed[name] = new

    def chunks(self) -> Iterator[InputTexts]:
        """All rows, `CHUNK` at a time."""
        rows = self._rows.read(self._skip_empty)
        while True:
            with self._reading():
                some = list(islice(rows, CHUNK))
            if not some:
                return
            sides = [list(side) for side in zip(*(self._texts(*one) for one in some), strict=True)]
            columns = zip(*(row for _, row in some), strict=True)
            pairs = sides[1] if len(sides) > 1 else None
            yield InputTexts(sides[0], pairs, dict(zip(self.names, columns, strict=True)))

    def _texts(self, place: str, row: Sequence[Any]) -> list[str]:
        """The text of a row, or both of a pair."""
        sides = zip(self._columns, self._places, strict=True)
        return [checked(f"{self._path}, {place}, column {name!r}", row[at], self._skip_empty) for name, at in sides]

    def _named(self, answers: Collection[str]) -> list[str]:
        own = dict(zip(self._places, (TEXT, PAIR), strict=False))
        taken, found = {*answers, *own.values()}, []
        for place, name in enumerate(self._rows.names):
            new = own.get(place, name)
            while place not in own and new in taken:
                new = _TAKEN + new
            taken.add(new)
            found.append(new)
        return found

    def _place(self, header: Sequence[str], column: str) -> int:
        if column in header:
            return list(header).index(column)
        option = "--text-column" if column == self._columns[0] else "--pair-column"
        there = ", ".join(map(repr, header))[:_SHOWN] or "none"
        raise self._wrong(f"a column {column!r}", there, f"Name it with {option} NAME.")

    def _reading(self) -> Any:
        kind = {".jsonl": "JSON Lines", ".parquet": "Parquet"}.get(ending(self._path), "CSV")
        return reading(self._path, expected=f"a file that is whole, as {kind}", cure="Mend the file or rename it.")

    def _wrong(self, expected: str, got: str, cure: str) -> UserError:
        return UserError(str(self._path), expected=expected, got=got, cure=cure)
