"""Any CSV file with a text column and a label column; so are files of JSON Lines, Parquet and Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kd_lab.core.as_typed import shell_override
from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import DELIMITERS, Count, Delimiter, Encoding, NonEmpty, PathName, Rows, Task, Words
from kd_lab.data import train_rows
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.csv_table import read_csv, refuse_missing
from kd_lab.data.dataset import MULTI_CLASS, MULTI_LABEL, Split, SplitPlan, Texts
from kd_lab.data.label_columns import as_lists, is_of_several, label_options, refuse_single, without_rows
from kd_lab.data.label_sets import as_words, read_label_sets, several_parts
from kd_lab.data.labels import as_word, read_labels, several_labels
from kd_lab.data.row_file import kind_of, read_rows
from kd_lab.data.row_ids import read_ids


@dataclass(frozen=True)
class Csv:
    """A CSV file, or one for each split; a file of JSON Lines, JSON, Parquet or Arrow is read the same way.

    Args:
        path: the training rows, or all rows where no other file is given.
        text_column, label_column: names in the header line.
        label_columns: of a column of 0 and 1 for each label, instead of `label_column`, with task "multi_label".
        pair_column: the second text of a pair; None for single sentences.
        id_column: what a row is called, which a file of answers may say instead of its text; None where nothing does.
        test_path, validation_path: files of their own; without them the rows are carved out by `split`.
        task: "multi_label" where a row may bear several labels: lists of them, or a cell with `label_separator`s.
        label_separator: what stands between the labels of a cell; None takes the first of | ; , that a cell has.
        labelled: rows of train that keep their label, each class in proportion; the others are text that only a
            teacher judges. None keeps all.
        transfer_path: text without labels, which only a teacher judges: a file or a pattern such as `more/*.txt`
            (a text a line, CSV, JSON Lines, Parquet; see `transfer_file`). A row of train whose label is empty is such
            text too.
        transfer_column: of their text, where it is called otherwise than `text_column`.
        transfer_sentences: each is cut into its sentences of so many words, from and to; None leaves it whole.
        transfer_limit: of more than so many some are drawn by chance; `split.seed` says which.
        encoding: of the files; a byte order mark tells it by itself.
        delimiter: what stands between the fields of a CSV; None finds out whether that is , ; | or a tab.
        columns: names of all columns of CSV files that have no header line; None takes the first line's.
        split: how to carve.
        augmentation: text made out of the labelled rows of train, which only a teacher judges; None makes none.
        name: what results call it.
        source: where to get the file, for the error when it is missing.
    """

    path: PathName
    text_column: NonEmpty = "text"
    label_column: NonEmpty = "label"
    pair_column: NonEmpty | None = None
    test_path: PathName | None = None
    validation_path: PathName | None = None
    labelled: Count | None = None
    transfer_path: PathName | None = None
    transfer_column: NonEmpty | None = None
    transfer_sentences: tuple[Words, Words] | None = None
    transfer_limit: Rows | None = None
    encoding: Encoding = "utf-8"
    delimiter: Delimiter | None = None
    columns: tuple[NonEmpty, ...] | None = None
    task: Task = MULTI_CLASS
    label_columns: tuple[NonEmpty, ...] | None = None
    label_separator: Delimiter | None = None
    split: SplitPlan = field(default_factory=SplitPlan)
    augmentation: Augmentation | None = None
    name: NonEmpty = "csv"
    source: NonEmpty | None = None
    id_column: NonEmpty | None = None

    @property
    def _label(self) -> str:
        """The column of a table that was read; of several, their names."""
        return self.label_column if self.label_columns is None else ", ".join(self.label_columns)

    def _paths(self) -> dict[str, Path]:
        given = {"train": self.path, "validation": self.validation_path, "test": self.test_path}
        return {name: self._existing(Path(path).expanduser()) for name, path in given.items() if path}

    def _existing(self, path: Path) -> Path:
        if path.is_file():
            return path
        cure = f"Get it from {self.source}, or name its place with" if self.source else "Name the file with"
        if path.is_dir():
            folder = shell_override("dataset.path", str(path))
            got, more = "a folder", f" A folder with a file for each split is dataset=parquet {folder}."
        else:
            got, more = "no such file", ""
        raise UserError(f"dataset file {path}", expected="a CSV file", got=got, cure=f"{cure} dataset.path=FILE.{more}")

    def fingerprint_parts(self) -> dict[str, Any]:
        """Files by their content, columns, and the way of splitting; not the ids, of which no token is made."""
        files = {name: file_hash(path) for name, path in self._paths().items()}
        columns = [self.text_column, self.pair_column, self.label_column, self.encoding]
        form = {"delimiter": self.delimiter and DELIMITERS.get(self.delimiter, self.delimiter), "names": self.columns}
        form |= several_parts(self.task, self.label_separator, self.label_columns)
        return {
            "files": files,
            "columns": columns,
            "split": self.split,
            **{name: given for name, given in form.items() if given is not None},  # not there, they rename nothing
            **train_rows.fingerprint_parts(self),
        }

    def load(self) -> Texts:
        """Reads the files; classes are the labels in order, by number where all are numbers.

        Raises:
            UserError: a file or column is missing, a file is empty or in another encoding, a label is missing, or the
                labels are scores.
        """
        refuse_single(self.task, self.label_columns)
        tables = {name: self._read(path, labelled=name != "train") for name, path in self._paths().items()}
        words = {name: table[self._label].tolist() for name, table in tables.items()}
        where = f"dataset {self.name}, column {self._label!r}"
        multi_label = self.task == MULTI_LABEL
        labels = read_label_sets(words, where, self.label_separator) if multi_label else read_labels(words, where)
        splits = {}
        for name, table in tables.items():
            pairs = table[self.pair_column].tolist() if self.pair_column else None
            ids = None
            if self.id_column:
                ids = read_ids(table[self.id_column].tolist(), f"dataset {self.name}, column {self.id_column!r}")
            splits[name] = Split(table[self.text_column].tolist(), labels.splits[name], pairs, ids)
        splits = self.split.complete(splits, labels.sets)
        carved = tuple(name for name in splits if name not in tables)
        splits["train"], told = train_rows.prepared(self, splits, labels.sets)
        notes = (*labels.notes, *without_rows(self.label_columns, labels.classes), *told)
        return Texts(splits, labels.classes, notes, carved, labels.sets)

    def _read(self, path: Path, *, labelled: bool) -> pd.DataFrame:
        where = f"dataset file {path}"
        labels = label_options(self.label_column, self.label_columns)
        wanted = {"text": self.text_column, **labels}
        if self.pair_column:
            wanted["pair"] = self.pair_column
        filled = [column for option, column in wanted.items() if not is_of_several(option)]
        if self.id_column:
            wanted["id"] = self.id_column
        if (kind := kind_of(path)) == "csv":
            mark = None if self.delimiter is None else DELIMITERS.get(self.delimiter, self.delimiter)
            table = read_csv(path, wanted, self.encoding, mark, self.columns)
        else:
            names = list(dict.fromkeys(wanted.values()))
            found = read_rows(path, kind, names, next(iter(labels.values())), self.encoding)
            refuse_missing(where, list(found), wanted)
            words: dict[str, list[Any]] = {name: self._words(name, found[name], where) for name in filled}
            words |= {name: found[name] for name in wanted.values() if name not in words}
            table = pd.DataFrame(words, dtype=object)
        if self.label_columns is not None:
            table[self._label] = as_lists({name: table[name].tolist() for name in self.label_columns}, where)
            filled.append(self._label)
        if table.empty:
            cure = "Give a file that has some."
            if kind == "csv" and self.columns is None:
                cure += " Where the first line is a row already, name the columns with dataset.columns."
            raise UserError(where, expected="rows below the header", got="none", cure=cure)
        self._refuse_missing(table, filled, where, labelled=labelled)
        return table

    def _words(self, column: str, values: Sequence[Any], where: str) -> list[str | None]:
        """The values of a column of a file that tells numbers from words."""
        place = f"{where}, column {column!r}"
        if column == self.label_column:
            try:
                word = as_words if self.task == MULTI_LABEL else as_word
                return [word(value) or None for value in values]
            except TypeError as error:
                raise several_labels(place) from error
        if strange := {type(value).__name__ for value in values if value is not None} - {"str"}:
            cure = "Name another column with dataset.text_column=NAME."
            raise UserError(place, expected="texts", got=" and ".join(sorted(strange)), cure=cure)
        return list(values)

    def _refuse_missing(self, table: pd.DataFrame, columns: Sequence[str], where: str, *, labelled: bool) -> None:
        for column in columns:
            missing = table[column].isna() | table[column].str.strip().eq("")
            if column == self._label:
                if not labelled and not missing.all():
                    table.loc[missing, column] = ""  # text that only a teacher judges
                    missing[:] = False
                missing |= table[column].str.lower().eq("nan")  # a number that is none, written out
            if missing.any():
                line = int(np.flatnonzero(missing)[0]) + 1
                kind = "a label" if column == self._label else "a text"
                got = f"none ({int(missing.sum())} rows in all)"
                cure = "Mend or remove the rows."
                if column == self._label and not labelled:
                    cure = "Mend or remove the rows; an empty label marks text that only a teacher judges."
                raise UserError(f"{where}, column {column!r}, row {line}", expected=kind, got=got, cure=cure)
            if column != self._label and pd.to_numeric(table[column], errors="coerce").notna().all():
                raise UserError(
                    f"{where}, column {column!r}",
                    expected="texts",
                    got="numbers only",
                    cure="Name another column with dataset.text_column=NAME.",
                )
