"""Data sets in the hub's layout: Parquet files in a local folder first, else from the hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import NonEmpty, PathName, Splits
from kd_lab.core.reading import reading
from kd_lab.data import transfer_file
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan, Texts
from kd_lab.data.hub_revision import commit as commit_of
from kd_lab.data.parquet_file import read_columns

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Hub:
    """One configuration of a data set.

    Args:
        path: a folder with `<split>-*.parquet` files, looked in first; None skips it.
        hub_id: the repository on the hub, looked in next; None skips it.
        config: its configuration on the hub.
        revision: a commit, tag or branch on the hub.
        text_column, label_column: names of columns.
        pair_column: the second text of a pair; None for single sentences.
        transfer_path: text without labels, which only a teacher judges: a file or a pattern such as `more/*.txt`
            (a text a line, CSV, JSON Lines, Parquet; see `transfer_file`). A row of train with label -1 is such text
            too.
        splits: our split -> theirs. One that is left out is carved out of train by `split`.
        split: how to carve.
        name: what results call it.
        out_of_scope: the class of texts that belong to no other class, judged apart; None where there is none.
    """

    text_column: NonEmpty = "text"
    label_column: NonEmpty = "label"
    path: PathName | None = None
    hub_id: NonEmpty | None = None
    config: NonEmpty | None = None
    revision: NonEmpty = "main"
    pair_column: NonEmpty | None = None
    transfer_path: PathName | None = None
    splits: Splits = field(default_factory=lambda: {"train": "train", "test": "test"})
    split: SplitPlan = field(default_factory=SplitPlan)
    name: NonEmpty = "hub"
    out_of_scope: NonEmpty | None = None

    def _local(self) -> dict[str, list[Path]] | None:
        if self.path is None:
            return None
        folder = Path(self.path).expanduser()
        files = {name: sorted(folder.glob(f"{theirs}-*.parquet")) for name, theirs in self.splits.items()}
        return files if all(files.values()) else None

    def commit(self) -> str | None:
        """The commit that it is read at; None where it is no repository of the hub, or is not to be had."""
        if self._local() is not None or not self.hub_id or Path(self.hub_id).expanduser().is_dir():
            return None
        return commit_of("dataset", self.hub_id, self.revision)

    def fingerprint_parts(self) -> dict[str, Any]:
        """Local files by their content, else the commit on the hub; columns, and the way of splitting.

        `out_of_scope` is no part of it: it decides how answers are judged, not what the texts are.
        """
        local = self._local()
        if local is not None:
            source: Any = {name: [file_hash(path) for path in paths] for name, paths in local.items()}
        elif self.hub_id and (folder := Path(self.hub_id).expanduser()).is_dir():  # `datasets` reads one as well
            files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
            hashes = {path.relative_to(folder).as_posix(): file_hash(path) for path in files}
            source = [hashes, self.config, dict(self.splits)]
        else:
            source = [self.hub_id, self.config, self.commit() or self.revision, dict(self.splits)]
        return {
            "source": source,
            "columns": [self.text_column, self.pair_column, self.label_column],
            "split": self.split,
            "transfer": transfer_file.fingerprint_parts(self.transfer_path),
        }

    def load(self) -> Texts:
        """Reads the splits that `splits` names.

        Raises:
            UserError: it is in neither place, a file is damaged, a column is missing or of another type, or no class
                is called `out_of_scope`.
        """
        local = self._local()
        tables = (
            self._download() if local is None else {name: _read(paths, self._wanted()) for name, paths in local.items()}
        )
        raw = {name: self._columns(name, table) for name, table in tables.items()}
        names = _class_names(
            tables["train"].schema.field(self.label_column), tables["train"].schema.metadata, self.name
        )
        found = {label for _, _, labels in raw.values() for label in labels} - {UNLABELLED}
        if len(kinds := {type(label).__name__ for label in found}) > 1:
            got, cure = f"{' and '.join(sorted(kinds))}", "Give all splits labels of one type."
            raise UserError(f"dataset {self.name}", expected="labels of one type", got=got, cure=cure)
        if names and (strange := sorted(found - set(range(len(names))))):
            raise UserError(
                f"dataset {self.name}, column {self.label_column!r}",
                expected=f"a number below {len(names)}, as the file names that many classes",
                got=repr(strange[0]),
                cure="Write the file again with all names, or without.",
            )
        classes = names or tuple(str(label) for label in sorted(found))
        if self.out_of_scope is not None:
            class_number(classes, self.out_of_scope)
        index = {label: number for number, label in enumerate(range(len(names)) if names else sorted(found))}
        index[UNLABELLED] = UNLABELLED
        splits = {
            name: Split(texts, np.array([index[label] for label in labels], dtype=np.int64), pairs)
            for name, (texts, pairs, labels) in raw.items()
        }
        splits = self.split.complete(splits)
        columns = (self.text_column, self.pair_column)
        splits["train"] = transfer_file.with_transfer(splits["train"], self.transfer_path, *columns)
        return Texts(splits, classes)

    def _download(self) -> dict[str, pa.Table]:
        looked = f"{self.path} (no {'-*.parquet, '.join(self.splits.values())}-*.parquet there)" if self.path else ""
        reason = "no hub id"
        if self.hub_id:
            import datasets

            try:
                revision = self.commit() or self.revision
                whole = datasets.load_dataset(self.hub_id, self.config, revision=revision)
                return {name: whole[theirs].with_format("arrow")[:] for name, theirs in self.splits.items()}
            except Exception as error:  # the hub's client raises a dozen kinds for "not to be had"
                reason = f"hub id {self.hub_id} ({type(error).__name__})"
        raise UserError(
            f"dataset {self.name}",
            expected="its files in a local folder or on the hub",
            got=f"none: looked in {', then '.join(filter(None, (looked, reason)))}",
            cure="Set KD_LAB_DATA or paths.data to the folder that holds it, or go online once.",
        )

    def _wanted(self) -> list[str]:
        return list(dict.fromkeys(filter(None, (self.text_column, self.label_column, self.pair_column))))

    def _columns(self, name: str, table: pa.Table) -> tuple[list[str], list[str] | None, list[Any]]:
        import pyarrow as pa
        import pyarrow.compute

        where = f"dataset {self.name}, split {name}"
        wanted = {"text_column": self.text_column, "label_column": self.label_column, "pair_column": self.pair_column}
        for option, column in wanted.items():
            if column is None:
                continue
            if table.column_names.count(column) != 1:
                raise UserError(
                    where,
                    expected=f"a column {column!r}",
                    got=", ".join(map(repr, table.column_names))[:500] or "no columns",
                    cure=f"Name it with dataset.{option}=NAME.",
                )
            kind = table.schema.field(column).type
            if option != "label_column" and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                raise UserError(
                    f"{where}, column {column!r}",
                    expected="texts",
                    got=str(kind),
                    cure=f"Name another: dataset.{option}.",
                )
        labels = table[self.label_column]
        if pa.types.is_dictionary(labels.type):
            labels = labels.cast(labels.type.value_type)
        if not _is_label(labels.type):
            raise UserError(
                f"{where}, column {self.label_column!r}",
                expected="labels: words or whole numbers",
                got=str(labels.type),
                cure="Name another: dataset.label_column.",
            )
        nan = pa.compute.is_nan(labels) if pa.types.is_floating(labels.type) else None
        missing = labels.null_count + (pa.compute.sum(nan).as_py() or 0 if nan is not None else 0)
        if missing:
            raise UserError(
                f"{where}, column {self.label_column!r}",
                expected="a label on every row",
                got=f"{missing} rows without",
                cure="Mend or remove the rows; -1 marks a row without a label in train.",
            )
        with reading(where, expected="texts in UTF-8", cure="Copy or download the files again."):
            pairs = table[self.pair_column].to_pylist() if self.pair_column else None
            return table[self.text_column].to_pylist(), pairs, labels.to_pylist()


def class_number(classes: Sequence[str], out_of_scope: str) -> int:
    """The place among `classes` of the one that stands for "out of scope".

    Raises:
        UserError: there is none of that name.
    """
    if out_of_scope not in classes:
        some = f"{', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}"
        raise UserError(
            "dataset.out_of_scope",
            expected="the name of a class",
            got=f"{out_of_scope!r}, where classes are {some}",
            cure="Name one of them, or null where no class means out of scope.",
        )
    return classes.index(out_of_scope)


def _read(paths: Iterable[Path], wanted: Sequence[str]) -> pa.Table:
    import pyarrow as pa

    tables: list[pa.Table] = []
    for path in paths:
        with reading(f"dataset file {path}", expected="Parquet", cure="Copy or download it again."):
            tables.append(read_columns(path, wanted))
            if tables[-1].schema != tables[0].schema:
                raise ValueError("columns of other types than in the files before it")
    return pa.concat_tables(tables)


def _is_label(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = ("is_string", "is_large_string", "is_integer", "is_boolean", "is_floating", "is_null")
    return any(getattr(pa.types, test)(kind) for test in tests)


def _class_names(label: pa.Field, metadata: Mapping[bytes, bytes] | None, name: str) -> tuple[str, ...] | None:
    """The classes that the file's own description names for the column of labels, if it has one."""
    import datasets
    import pyarrow as pa

    cure = "Write the file again, e.g. with pandas, which leaves that description out."
    with reading(f"dataset {name}", expected="a description of columns as the library datasets writes it", cure=cure):
        feature = datasets.Features.from_arrow_schema(pa.schema([label], metadata)).get(label.name)
    if not (isinstance(feature, datasets.ClassLabel) and pa.types.is_integer(label.type)):
        return None
    return tuple(feature.names)
