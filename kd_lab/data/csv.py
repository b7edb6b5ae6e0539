"""Any CSV file with a text column and a label column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Encoding, NonEmpty, PathName
from kd_lab.core.reading import reading
from kd_lab.data import transfer_file
from kd_lab.data.csv_file import encoding_of, header_of, other_encoding
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan, Texts

_SHOWN = 20  # names of columns that an error lists
_LONGEST_NUMBER = 300  # digits; Python refuses to read thousands


@dataclass(frozen=True)
class Csv:
    """A CSV file, or one for each split.

    Args:
        path: the training rows, or all rows where no other file is given.
        text_column, label_column: names in the header line.
        pair_column: the second text of a pair; None for single sentences.
        test_path, validation_path: files of their own; without them the rows are carved out by `split`.
        transfer_path: text without labels, which only a teacher judges: a file or a pattern such as `more/*.txt`
            (a text a line, CSV, JSON Lines, Parquet; see `transfer_file`). A row of train whose label is empty is such
            text too.
        encoding: of the files.
        split: how to carve.
        name: what results call it.
        source: where to get the file, for the error when it is missing.
    """

    path: PathName
    text_column: NonEmpty = "text"
    label_column: NonEmpty = "label"
    pair_column: NonEmpty | None = None
    test_path: PathName | None = None
    validation_path: PathName | None = None
    transfer_path: PathName | None = None
    encoding: Encoding = "utf-8"
    split: SplitPlan = field(default_factory=SplitPlan)
    name: NonEmpty = "csv"
    source: NonEmpty | None = None

    def _paths(self) -> dict[str, Path]:
        given = {"train": self.path, "validation": self.validation_path, "test": self.test_path}
        return {name: self._existing(Path(path).expanduser()) for name, path in given.items() if path}

    def _existing(self, path: Path) -> Path:
        if path.is_file():
            return path
        cure = f"Get it from {self.source}, or name its place with" if self.source else "Name the file with"
        got = "a folder" if path.is_dir() else "no such file"
        raise UserError(f"dataset file {path}", expected="a CSV file", got=got, cure=f"{cure} dataset.path=FILE.")

    def fingerprint_parts(self) -> dict[str, Any]:
        """Files by their content, columns, and the way of splitting."""
        files = {name: file_hash(path) for name, path in self._paths().items()}
        columns = [self.text_column, self.pair_column, self.label_column, self.encoding]
        transfer = transfer_file.fingerprint_parts(self.transfer_path)
        return {"files": files, "columns": columns, "split": self.split, "transfer": transfer}

    def load(self) -> Texts:
        """Reads the files; classes are the labels in order, by number where all are numbers.

        Raises:
            UserError: a file or column is missing, a file is empty or in another encoding, a label is missing.
        """
        tables = {name: self._read(path, labelled=name != "train") for name, path in self._paths().items()}
        found = {label for table in tables.values() for label in table[self.label_column]} - {""}
        classes = tuple(sorted(found, key=_by_number if all(map(_is_integer, found)) else str))
        index = {"": UNLABELLED, **{label: number for number, label in enumerate(classes)}}
        splits = {}
        for name, table in tables.items():
            labels = np.array([index[label] for label in table[self.label_column]], dtype=np.int64)
            pairs = table[self.pair_column].tolist() if self.pair_column else None
            splits[name] = Split(table[self.text_column].tolist(), labels, pairs)
        splits = self.split.complete(splits)
        columns = (self.text_column, self.pair_column, self.encoding)
        splits["train"] = transfer_file.with_transfer(splits["train"], self.transfer_path, *columns)
        return Texts(splits, classes)

    def _read(self, path: Path, *, labelled: bool) -> pd.DataFrame:
        where = f"dataset file {path}"
        columns = [self.text_column, self.label_column, *([self.pair_column] if self.pair_column else [])]
        encoding = encoding_of(path, self.encoding)
        header, delimiter = header_of(path, encoding, columns)
        for option, column in zip(("text", "label", "pair"), columns, strict=False):
            if header and header.count(column) != 1:
                there = f"{', '.join(map(repr, header[:_SHOWN]))}{', ...' if len(header) > _SHOWN else ''}"[:500]
                cure = f"Name it with dataset.{option}_column=NAME."
                if not {name.strip().lower() for name in header} & {name.lower() for name in columns}:
                    cure += f" Where the first line is a row already, put the names above it: {','.join(columns)}."
                raise UserError(where, expected=f"a column {column!r}, once", got=there, cure=cure)
        with _telling(where, self.encoding, path):
            table = pd.read_csv(
                path, encoding=encoding, sep=delimiter, dtype=str, keep_default_na=False, na_values=[""]
            )
        if not isinstance(table.index, pd.RangeIndex):  # pandas makes an index of the fields in excess
            got = "more fields in the rows than in the header"
            raise UserError(where, expected="CSV", got=got, cure="Quote texts that hold commas.")
        if table.empty:
            raise UserError(where, expected="rows below the header", got="none", cure="Give a file that has some.")
        self._refuse_missing(table, columns, where, labelled=labelled)
        return table

    def _refuse_missing(self, table: pd.DataFrame, columns: Sequence[str], where: str, *, labelled: bool) -> None:
        for column in columns:
            missing = table[column].isna() | table[column].str.strip().eq("")
            if column == self.label_column:
                if not labelled and not missing.all():
                    table.loc[missing, column] = ""  # text that only a teacher judges
                    missing[:] = False
                missing |= table[column].str.lower().eq("nan")  # a number that is none, written out
            if missing.any():
                line = int(np.flatnonzero(missing)[0]) + 1
                kind = "a label" if column == self.label_column else "a text"
                got = f"none ({int(missing.sum())} rows in all)"
                cure = "Mend or remove the rows."
                if column == self.label_column and not labelled:
                    cure = "Mend or remove the rows; an empty label marks text that only a teacher judges."
                raise UserError(f"{where}, column {column!r}, row {line}", expected=kind, got=got, cure=cure)
            if column != self.label_column and pd.to_numeric(table[column], errors="coerce").notna().all():
                raise UserError(
                    f"{where}, column {column!r}",
                    expected="texts",
                    got="numbers only",
                    cure="Name another column with dataset.text_column=NAME.",
                )


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


def _is_integer(label: str) -> bool:
    return label.removeprefix("-").isdecimal() and len(label) <= _LONGEST_NUMBER


def _by_number(label: str) -> tuple[int, str]:
    return int(label), label  # 1 and 01 are two labels
