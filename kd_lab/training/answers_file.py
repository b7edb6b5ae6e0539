"""Reads a file of answers: what someone else, such as a language model, said of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.label_sets import as_words, labels_of, separator_of
from kd_lab.data.labels import as_word
from kd_lab.data.row_ids import read_ids
from kd_lab.training.answer_keys import by_id, by_text
from kd_lab.training.answers_table import WHERE, read_table

if TYPE_CHECKING:
    import pandas as pd

_SMALLEST = 1e-6  # that a probability of 0 is taken for: its logarithm has no end
_SUMS = 0.02  # by which probabilities may miss 1 in sum: files round them
_SHOWN = 8
_NONE = object()


class Answers(NamedTuple):
    """What a file says, each text or id once."""

    keys: np.ndarray  # (M,) uint64, ascending, see `answer_keys`
    scores: np.ndarray  # (M, C) float32: logits, or shares of the votes for each class
    confidence: np.ndarray | None  # (M,) float32, in the label that has most votes, where the file says it
    votes: bool  # whether scores are shares of votes
    unknown: tuple[int, str]  # answers that name no class of the data, and one of them
    ids: Sequence[str] = ()  # of each row of the file, "" where it has none; none at all where it is joined by texts
    texts: Sequence[str] = ()  # beside the ids, "" where there is none; none at all where the file has no texts


def read(
    path: Path,
    classes: Sequence[str],
    text: str | None,
    pair: str | None,
    label: str,
    confidence: str | None,
    id: str | None = None,
    multi_label: bool = False,
) -> Answers:
    """The answers in a file: a column for each class (probabilities or logits), or one with a label.

    Rows of the same text, or the same id, are votes: of labels their shares count, of scores the mean.

    Args:
        text, pair, label, confidence: columns; a label may be a list of votes.
        multi_label: whether a row may bear several labels: each column of scores is then of a label by itself, a list
            is what one row says, and shares are those of rows that say a label.
        id: the column of ids, which a row is known by; one without an id, by its text. None knows all by their texts.

    Raises:
        UserError: there is no such file, or it lacks a column, or its scores are no numbers.
    """
    table = read_table(path, [one for one in (id or text,) if one is not None])
    columns = [str(name) for name in table.columns]
    for needed in (id,) if id is not None else (text, *([pair] if pair else [])):
        if needed not in columns:
            cure = "Name the column of the texts by teacher.text_column=NAME."
            if id is not None:
                cure = "Name it by teacher.id_column=NAME, or leave the ids out: answers are joined by their text."
            raise UserError(f"{WHERE} {path}", expected=f"a column {needed!r}", got=_listed(columns), cure=cure)
    if id is None:
        keys = by_text(*_texts_alone(table, [one for one in (text, pair) if one is not None], path))
        return _answers(table, keys, path, classes, label, confidence, multi_label)
    ids = read_ids(table[id].tolist(), f"{WHERE} {path}, column {id!r}")
    texts, pairs = (
        [one if isinstance(one, str) else "" for one in table[name]] if name in columns else None
        for name in (text, pair)
    )
    keys = by_id(ids, texts if pair is None or pairs is not None else None, pairs)
    return _answers(table, keys, path, classes, label, confidence, multi_label)._replace(ids=ids, texts=texts or ())


def _answers(
    table: pd.DataFrame,
    keys: np.ndarray,
    path: Path,
    classes: Sequence[str],
    label: str,
    confidence: str | None,
    multi_label: bool,
) -> Answers:
    columns = [str(name) for name in table.columns]
    if set(classes) <= set(columns):
        return _scores(table[list(classes)], keys, path, multi_label)
    if label in columns:
        given = table[confidence] if confidence is not None and confidence in columns else None
        return (_sets if multi_label else _votes)(table[label], given, keys, classes, path)
    lacking = [name for name in classes if name not in columns]
    raise UserError(
        f"{WHERE} {path}",
        expected=f"a column {label!r} of labels, or one for each class ({_listed(classes)})",
        got=f"{_listed(columns)}{f', without {_listed(lacking)}' if len(lacking) < len(classes) else ''}",
        cure="Name the column of the labels by teacher.label_column=NAME.",
    )


def _texts_alone(table: pd.DataFrame, names: Sequence[str], path: Path) -> tuple[list[str], list[str] | None]:
    """The texts, and the second ones of pairs.

    Raises:
        UserError: one of them is no text.
    """
    found: list[list[str]] = []
    for name in names:
        column = table[name].tolist()
        if (strange := next((one for one in column if not isinstance(one, str)), _NONE)) is not _NONE:
            got = f"{type(strange).__name__} {strange!r}"[:200]
            where = f"{WHERE} {path}, column {name!r}"
            raise UserError(where, expected="texts", got=got, cure="Name another column by teacher.text_column=NAME.")
        found.append(column)
    return found[0], found[1] if len(found) > 1 else None


def _scores(table: pd.DataFrame, keys: np.ndarray, path: Path, multi_label: bool) -> Answers:
    with reading(f"{WHERE} {path}", expected="a number for each class in each row", cure="Mend the file."):
        numbers = table.to_numpy(dtype=np.float64)
    broken = ~np.isfinite(numbers).all(axis=1)
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        got = f"{table.iloc[row].tolist()} in row {row}"[:200]
        raise UserError(f"{WHERE} {path}", expected="a number for each class", got=got, cure="Leave that row out.")
    if multi_label and ((numbers >= 0) & (numbers <= 1)).all():
        found, counts, numbers = _grouped(keys, numbers)
        share = (numbers / counts[:, None]).clip(_SMALLEST, 1 - _SMALLEST)
        return Answers(found, np.log(share / (1 - share)).astype(np.float32), None, False, (0, ""))
    if not multi_label and (numbers >= 0).all() and (abs(numbers.sum(axis=1) - 1) <= _SUMS).all():
        found, counts, numbers = _grouped(keys, numbers)
        return Answers(
            found, np.log((numbers / counts[:, None]).clip(_SMALLEST)).astype(np.float32), None, False, (0, "")
        )
    found, counts, numbers = _grouped(keys, numbers)
    return Answers(found, (numbers / counts[:, None]).astype(np.float32), None, False, (0, ""))


def _sets(
    labels: pd.Series, confidence: pd.Series | None, keys: np.ndarray, classes: Sequence[str], path: Path
) -> Answers:
    """As `_votes`, where a row may bear several labels: a row without any is an answer, an empty field is none."""
    words = [as_words(one) for one in labels]
    mark = separator_of(words)
    cells = [labels_of(word, mark, f"{WHERE} {path}, column {labels.name!r}") for word in words]
    rows = np.flatnonzero([cell is not None for cell in cells])
    place = {name: number for number, name in enumerate(classes)}
    said = [[_named(one, place) for one in cell] for cell in cells if cell is not None]
    strange = [one for row in said for one in row if one not in place]
    _refuse_strange(strange, sum(map(len, said)), classes, path)
    bits = np.zeros((len(said), len(classes)))
    for row, names in enumerate(said):
        bits[row, [place[one] for one in names if one in place]] = 1
    return _shares(bits, rows, keys, confidence, strange, path)


def _votes(
    labels: pd.Series, confidence: pd.Series | None, keys: np.ndarray, classes: Sequence[str], path: Path
) -> Answers:
    place = {name: number for number, name in enumerate(classes)}
    lists = [one if isinstance(one, list | tuple | np.ndarray) else (one,) for one in labels]
    rows = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    said = [_named(as_word(vote).strip(), place) for one in lists for vote in one]
    number = np.array([place.get(vote, -1) for vote in said], dtype=np.int64)
    strange = [vote for vote, known in zip(said, number, strict=True) if known < 0 and vote]
    _refuse_strange(strange, len(said), classes, path)
    known = number >= 0
    bits = np.zeros((int(known.sum()), len(classes)))
    bits[np.arange(len(bits)), number[known]] = 1
    return _shares(bits, rows[known], keys, confidence, strange, path)


def _shares(
    bits: np.ndarray,
    rows: np.ndarray,
    keys: np.ndarray,
    confidence: pd.Series | None,
    strange: Sequence[str],
    path: Path,
) -> Answers:
    """The answers that votes add up to.

    Args:
        bits: (V, C), what each vote says.
        rows: (V,), the row of the file that it stands in.
        keys, confidence: of each row.
        strange: what names no class.
    """
    found, counts, votes = _grouped(keys[rows], bits)
    sure = None
    if confidence is not None:
        told = _confidence(confidence, path)[rows]
        sure = (_grouped(keys[rows], told[:, None])[2][:, 0] / counts).astype(np.float32)
    unknown = (len(strange), next(iter(strange), ""))
    return Answers(found, (votes / counts[:, None]).astype(np.float32), sure, True, unknown)


def _refuse_strange(strange: Sequence[str], said: int, classes: Sequence[str], path: Path) -> None:
    """Refuses a column of which most labels are none of the data's."""
    if len(strange) > said / 2:
        got = f"{strange[0]!r} and the like in {len(strange):,} of {said:,} answers"
        cure = "Name the column of the labels by teacher.label_column=NAME, or write the data's names."
        raise UserError(f"{WHERE} {path}", expected=f"the data's classes ({_listed(classes)})", got=got, cure=cure)


def _confidence(column: pd.Series, path: Path) -> np.ndarray:
    with reading(f"{WHERE} {path}, column {column.name!r}", expected="numbers from 0 to 1", cure="Mend it."):
        told: np.ndarray = column.to_numpy(dtype=np.float64)
        if not ((told >= 0) & (told <= 1)).all():
            raise ValueError(f"one of {float(told[~((told >= 0) & (told <= 1))][0]):g}")
    return told


def _named(word: str, classes: Mapping[str, int]) -> str:
    """A class's name as the data has it: numbers of which some are missing come as 1.0 out of many tables."""
    return word if word in classes else word.removesuffix(".0")


def _grouped(keys: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each key once, ascending; how many rows it has; the sum of their numbers."""
    order = np.argsort(keys, kind="stable")
    found, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    return found, counts, np.add.reduceat(numbers[order], starts, axis=0) if len(found) else numbers[:0]


def _listed(names: Sequence[Any]) -> str:
    told = ", ".join(map(repr, names[:_SHOWN]))
    return told + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
