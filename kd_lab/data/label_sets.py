"""Several labels a row (`task=multi_label`): what a column of lists of labels says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import DELIMITERS
from kd_lab.data.dataset import MULTI_LABEL, UNLABELLED
from kd_lab.data.labels import Labels, as_word, in_order, refuse_scores, twins

LISTS = (list, tuple, set, frozenset, np.ndarray)
_MARKS = "|;,"  # between labels of a cell, the first of which any cell has, where none is named
_QUOTED = re.compile(
    r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^\s,'"]+)"""
)  # an item, as Python and numpy write it


def several_parts(task: str, separator: str | None, columns: Sequence[str] | None) -> dict[str, Any]:
    """What a data set's fingerprint says of several labels a row: nothing where a row has one."""
    if task != MULTI_LABEL:
        return {}
    parts = {"task": task, "label_separator": separator and DELIMITERS.get(separator, separator)}
    return parts if columns is None else {**parts, "label_columns": columns}


def as_words(value: Any) -> str:
    """A list of labels as one word, a JSON array; a single label as itself, "" where there is none."""
    if isinstance(value, LISTS):
        return json.dumps(each_word(value), ensure_ascii=False)
    return as_word(value)


def each_word(value: Any) -> list[str]:
    """The labels of a list as words; a set has no order, so those of one are sorted: it is the same in each process."""
    words = [as_word(one) for one in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return sorted(words) if isinstance(value, set | frozenset) else words


def read_label_sets(words: Mapping[str, Sequence[str]], where: str, separator: str | None = None) -> Labels:
    """The labels of all splits as rows of a table of sets, which the splits share.

    A cell is a list in brackets, as JSON, Python or numpy write it, or labels with a separator between them. An empty
    list is a row that bears no label; an empty cell is a row of which nobody has said which it bears.

    Args:
        words: split -> the labels of each row, "" where nobody has said.
        where: the column, for errors.
        separator: between the labels of a cell; None takes the first of | ; , that any cell has.

    Raises:
        UserError: the labels are scores, or a list cannot be read.
    """
    notes = []
    mark = separator_of([word for split in words.values() for word in split], separator)
    if mark is not None and separator is None:
        notes.append(f"labels were cut at {mark!r}; where they are cut by another, name dataset.label_separator")
    found = {name: [labels_of(word, mark, where) for word in split] for name, split in words.items()}
    every = {label for split in found.values() for row in split for label in row or ()}
    refuse_scores(every, where)
    classes = in_order(every)
    number = {label: place for place, label in enumerate(classes)}
    bare = sum(row == () for split in found.values() for row in split)
    if bare:
        notes.append(f"{bare:,} rows bear none of the labels: learned from as such, unlike rows with an empty field")
    rows = {name: [_numbers(row, number) for row in split] for name, split in found.items()}
    distinct = sorted({row for split in rows.values() for row in split if row is not None})
    place = {row: at for at, row in enumerate(distinct)}
    sets = np.zeros((len(distinct), len(classes)), bool)
    for at, row in enumerate(distinct):
        sets[at, list(row)] = True
    splits = {
        name: np.array([UNLABELLED if row is None else place[row] for row in split], np.int64)
        for name, split in rows.items()
    }
    return Labels(classes, splits, (*notes, *twins(classes)), sets)


def gold(numbers: np.ndarray, sets: np.ndarray | None) -> np.ndarray:
    """What rows bear: (N,) int64, a class or -1; of several labels (N, C) int64, 1 or 0, and -1 where unknown.

    Args:
        numbers: (N,) a class or -1; with `sets` the row of these, or -1.
        sets: (K, C) bool, where a row may bear several labels.
    """
    if sets is None:
        return numbers
    return np.where(numbers[:, None] == UNLABELLED, UNLABELLED, sets[numbers].astype(np.int64))


def named(row: np.ndarray, classes: Sequence[str]) -> str:
    """A set of labels (C,) bool for eyes."""
    return ", ".join(name for name, there in zip(classes, row, strict=True) if there) or "none"


def separator_of(words: Sequence[str], named: str | None = None) -> str | None:
    """What labels of a cell are cut at: what is named, else the first of | ; , that a cell has which is no list."""
    if named is not None:
        return DELIMITERS.get(named, named)
    plain = [word for word in words if not _is_list(word)]
    return next((one for one in _MARKS if any(one in word for word in plain)), None)


def _is_list(word: str) -> bool:
    word = word.strip()
    return word.startswith("[") and word.endswith("]")


def labels_of(word: str, mark: str | None, where: str) -> tuple[str, ...] | None:
    """The labels of a cell; None where it is empty.

    Raises:
        UserError: it begins and ends like a list, and is none.
    """
    if not (word := word.strip()):
        return None
    if _is_list(word):
        parts: Iterable[str] = _items(word, where)
    else:
        parts = [word] if mark is None else word.split(mark)
    return tuple(part.strip() for part in parts if part.strip())


def _items(word: str, where: str) -> list[str]:
    """The labels of a list in brackets."""
    try:
        return [as_word(one) for one in json.loads(word)]
    except ValueError:  # Python's quotes, or numpy's blanks
        rest = _QUOTED.sub("", word[1:-1])
        if rest.strip(", \n"):
            cure = 'Write it as JSON, e.g. ["a", "b"], or the labels with dataset.label_separator between them.'
            raise UserError(where, expected="lists of labels", got=word[:100], cure=cure) from None
        return ["".join(parts) for parts in _QUOTED.findall(word[1:-1])]
    except TypeError as error:
        raise UserError(where, expected="lists of labels", got=word[:100], cure="Keep one list a row.") from error


def _numbers(row: tuple[str, ...] | None, number: Mapping[str, int]) -> tuple[int, ...] | None:
    return None if row is None else tuple(sorted({number[label] for label in row}))
