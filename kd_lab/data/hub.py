"""Data sets in the hub's layout: files in a local folder first, else from the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, Delimiter, NonEmpty, PathName, Rows, Splits, Task, Words
from kd_lab.data import train_rows
from kd_lab.data.arrow_table import columns_of, read_table
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.class_names import class_names, with_names
from kd_lab.data.dataset import MULTI_CLASS, MULTI_LABEL, UNLABELLED, Split, SplitPlan, Texts
from kd_lab.data.hub_download import download
from kd_lab.data.hub_revision import commit as commit_of
from kd_lab.data.label_columns import label_options, refuse_single, without_rows
from kd_lab.data.label_sets import as_words, read_label_sets, several_parts
from kd_lab.data.labels import Labels, as_word, read_labels, taken_for_none, twins
from kd_lab.data.split_files import files_by_split, refuse_others

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Hub:
    """One configuration of a data set.

    Args:
        path: a folder with files for each split, looked in first: `<split>-*.parquet`, or others that the hub's layout
            has (Arrow, CSV, JSON Lines; in `data/`, or in a folder that is called as the split); None skips it.
        hub_id: the repository on the hub, looked in next; None skips it.
        config: its configuration on the hub.
        revision: a commit, tag or branch on the hub.
        text_column, label_column: names of columns.
        label_columns: of a column of 0 and 1 for each label, instead of `label_column`, with task "multi_label".
        pair_column: the second text of a pair; None for single sentences.
        task: "multi_label" where a row may bear several labels: lists of them, or a cell with `label_separator`s.
        label_separator: what stands between the labels of a cell; None takes the first of | ; , that a cell has.
        id_column: what a row is called, which a file of answers may say instead of its text; None where nothing does.
        labelled: rows of train that keep their label, each class in proportion; the others are text that only a
            teacher judges. None keeps all.
        transfer_path: text without labels, which only a teacher judges: a file or a pattern such as `more/*.txt`
            (a text a line, CSV, JSON Lines, Parquet; see `transfer_file`). A row of train with label -1 is such text
            too.
        transfer_column: of their text, where it is called otherwise than `text_column`.
        transfer_sentences: each is cut into its sentences of so many words, from and to; None leaves it whole.
        transfer_limit: of more than so many some are drawn by chance; `split.seed` says which.
        splits: our split -> theirs. One that is left out is carved out of train by `split`, but for a validation split
            that is there and stands for nothing else; so is a test split that bears our own name and is not there.
        split: how to carve.
        augmentation: text made out of the labelled rows of train, which only a teacher judges; None makes none.
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
    labelled: Count | None = None
    transfer_path: PathName | None = None
    transfer_column: NonEmpty | None = None
    transfer_sentences: tuple[Words, Words] | None = None
    transfer_limit: Rows | None = None
    task: Task = MULTI_CLASS
    label_columns: tuple[NonEmpty, ...] | None = None
    label_separator: Delimiter | None = None
    splits: Splits = field(default_factory=lambda: {"train": "train", "test": "test"})
    split: SplitPlan = field(default_factory=SplitPlan)
    augmentation: Augmentation | None = None
    name: NonEmpty = "hub"
    out_of_scope: NonEmpty | None = None
    id_column: NonEmpty | None = None

    def _local(self) -> dict[str, list[Path]] | None:
        if self.path is None:
            return None
        return files_by_split(Path(self.path).expanduser(), self.splits, carve=self.hub_id is None)

    def commit(self) -> str | None:
        """The commit that it is read at; None where it is no repository of the hub, or is not to be had."""
        if self._local() is not None or not self.hub_id or Path(self.hub_id).expanduser().is_dir():
            return None
        return commit_of("dataset", self.hub_id, self.revision)

    def fingerprint_parts(self) -> dict[str, Any]:
        """Local files by their content, else the commit on the hub; columns, and the way of splitting.

        `out_of_scope` is no part of it: it decides how answers are judged, not what the texts are; nor are the ids.
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
            **several_parts(self.task, self.label_separator, self.label_columns),
            **train_rows.fingerprint_parts(self),
        }

    def load(self) -> Texts:
        """Reads the splits that `splits` names, and a validation split that is there.

        Raises:
            UserError: it is in neither place, a file is damaged, a column is missing or of another type, the labels are
                scores or lists, or no class is called `out_of_scope`.
        """
        refuse_single(self.task, self.label_columns)
        wanted = {"text": self.text_column, **label_options(self.label_column, self.label_columns)}
        if self.pair_column:
            wanted["pair"] = self.pair_column
        multi_label, local = self.task == MULTI_LABEL, self._local()
        if self.id_column:
            wanted["id"] = self.id_column
        if local is None:
            tables = self._download(list(dict.fromkeys(wanted.values())))
        else:
            tables = {name: read_table(paths, wanted, multi_label) for name, paths in local.items()}
        places = {name: f"dataset {self.name}, split {name}" for name in tables}
        raw = {name: columns_of(table, places[name], wanted, multi_label) for name, table in tables.items()}
        labels = self._labels(tables["train"], {name: columns.labels for name, columns in raw.items()})
        if self.out_of_scope is not None:
            class_number(labels.classes, self.out_of_scope)
        splits = {name: Split(one.texts, labels.splits[name], one.pairs, one.ids) for name, one in raw.items()}
        notes = [*labels.notes, *without_rows(self.label_columns, labels.classes)]
        for name, share in (("test", self.split.test_fraction), ("validation", self.split.validation_fraction)):
            if name in self.splits and name not in splits:
                rows = f"{100 * share:g} % of the rows of train"
                notes.append(f"there is no split {self.splits[name]!r}: {rows} stand for it")
        splits = self.split.complete(splits, labels.sets)
        carved = tuple(name for name in splits if name not in tables)
        splits["train"], told = train_rows.prepared(self, splits, labels.sets)
        return Texts(splits, labels.classes, (*notes, *told), carved, labels.sets)

    def _labels(self, train: pa.Table, found: Mapping[str, Sequence[Any]]) -> Labels:
        names = None
        if self.label_columns is None:
            names = class_names(train.schema.field(self.label_column), train.schema.metadata, f"dataset {self.name}")
        where = f"dataset {self.name}, column {self.label_column!r}"
        if self.task == MULTI_LABEL:
            if names is not None:
                found = {name: [with_names(one, names, where) for one in labels] for name, labels in found.items()}
            words = {name: list(map(as_words, labels)) for name, labels in found.items()}
            return read_label_sets(words, where, self.label_separator)
        distinct = {label for labels in found.values() for label in labels} - {UNLABELLED, None}
        if len(kinds := {type(label).__name__ for label in distinct}) > 1:
            got, cure = f"{' and '.join(sorted(kinds))}", "Give all splits labels of one type."
            raise UserError(f"dataset {self.name}", expected="labels of one type", got=got, cure=cure)
        if names is None:
            read = read_labels({name: list(map(_word, labels)) for name, labels in found.items()}, where)
            unknown = sum(label == UNLABELLED for label in found["train"])
            return read._replace(notes=(*read.notes, *([taken_for_none(unknown)] if unknown else [])))
        if strange := sorted(distinct - set(range(len(names)))):
            raise UserError(
                where,
                expected=f"a number below {len(names)}, as the file names that many classes",
                got=repr(strange[0]),
                cure="Write the file again with all names, or without.",
            )
        numbers = {name: np.array(labels, dtype=np.int64) for name, labels in found.items()}
        return Labels(names, numbers, tuple(twins(names)))

    def _download(self, wanted: Sequence[str]) -> dict[str, pa.Table]:
        looked, reason = "", "no hub id"
        if self.path:
            looked = f"{self.path} (no {'-*.parquet, '.join(self.splits.values())}-*.parquet there)"
        if self.hub_id:
            found, reason = download(self.hub_id, self.config, self.commit() or self.revision, self.splits, wanted)
            if found is not None:
                return found
        elif self.path:
            refuse_others(Path(self.path).expanduser(), self.splits)
        raise UserError(
            f"dataset {self.name}",
            expected="its files in a local folder or on the hub",
            got=f"none: looked in {', then '.join(filter(None, (looked, reason)))}",
            cure="Set KD_LAB_DATA or paths.data to the folder that holds it, or go online once.",
        )


def _word(label: Any) -> str:
    return "" if label == UNLABELLED else as_word(label)


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
