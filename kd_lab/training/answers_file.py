"""Reads a file of answers: what someone else, such as a language model, said of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.csv_file import encoding_of, header_of, opened
from kd_lab.data.dataset import Split
from kd_lab.data.labels import as_word
from kd_lab.data.text_hashes import text_hashes

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")  # each but the last also with .gz behind it
WHERE = "teacher.path"
_SMALLEST = 1e-6  # that a probability of 0 is taken for: its logarithm has no end
_SUMS = 0.02  # by which probabilities may miss 1 in sum: files round them
_SHOWN = 8
_PART = 4096  # rows that are looked up at a time


class Answers(NamedTuple):
    """What a file says, a text once."""

    keys: np.ndarray  # (M,) uint64, ascending, see `text_hashes`
    scores: np.ndarray  # (M, C) float32: logits, or shares of the votes for each class
    confidence: np.ndarray | None  # (M,) float32, in the label that has most votes, where the file says it
    votes: bool  # whether scores are shares of votes
    unknown: tuple[int, str]  # answers that name no class of the data, and one of them


def read(
    path: Path, classes: Sequence[str], text: str, pair: str | None, label: str, confidence: str | None
) -> Answers:
    """The answers in a file: a column for each class (probabilities or logits), or one with a label.

    Rows that say the same text are votes: of labels their shares count, of scores the mean.

    Args:
        text, pair, label, confidence: columns; a label may be a list of votes.

    Raises:
        UserError: there is no such file, or it lacks a column, or its scores are no numbers.
    """
    table = _table(path, text)
    columns = [str(name) for name in table.columns]
    for needed in (text, *([pair] if pair else [])):
        if needed not in columns:
            cure = "Name the column of the texts by teacher.text_column=NAME."
            raise UserError(f"{WHERE} {path}", expected=f"a column {needed!r}", got=_listed(columns), cure=cure)
    keys = _keys(table[text], None if pair is None else table[pair], path)
    if set(classes) <= set(columns):
        return _scores(table[list(classes)], keys, path)
    if label in columns:
        given = table[confidence] if confidence is not None and confidence in columns else None
        return _votes(table[label], given, keys, classes, path)
    lacking = [name for name in classes if name not in columns]
    raise UserError(
        f"{WHERE} {path}",
        expected=f"a column {label!r} of labels, or one for each class ({_listed(classes)})",
        got=f"{_listed(columns)}{f', without {_listed(lacking)}' if len(lacking) < len(classes) else ''}",
        cure="Name the column of the labels by teacher.label_column=NAME.",
    )


def rows_of(keys: np.ndarray, split: Split) -> np.ndarray:
    """(N,) int64, for each row of a split the number of its text among `keys`, -1 where it is not there."""
    starts, pairs = range(0, len(split.texts), _PART), split.pairs
    parts = (_plain(split.texts[at : at + _PART], pairs if pairs is None else pairs[at : at + _PART]) for at in starts)
    wanted = np.concatenate([np.empty(0, np.uint64), *map(text_hashes, parts)])
    place = np.searchsorted(keys, wanted).clip(max=max(len(keys) - 1, 0))
    return np.where(keys[place] == wanted, place, -1) if len(keys) else np.full(len(wanted), -1)


def _table(path: Path, text: str) -> pd.DataFrame:
    import pandas as pd

    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in ENDINGS:
        expected = f"a file that ends in {', '.join(ENDINGS)}, or in one of these and .gz"
        raise UserError(f"{WHERE} {path}", expected=expected, got=f"{path.name!r}", cure="Convert or rename it.")
    with reading(f"{WHERE} {path}", expected=f"a table, as {ending}", cure="Mend the file, or name another."):
        if ending == ".parquet":
            return pd.read_parquet(path)
        if ending == ".jsonl":
            return pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        told = encoding_of(path, "utf-8")
        delimiter = header_of(path, told, [text])[1]
        with opened(path) as file:
            return pd.read_csv(file, sep=delimiter, encoding=told, dtype=str, keep_default_na=False)


def _keys(texts: pd.Series, pairs: pd.Series | None, path: Path) -> np.ndarray:
    for column in (texts, *([] if pairs is None else [pairs])):
        if any(not isinstance(one, str) for one in column):
            strange = next(one for one in column if not isinstance(one, str))
            got = f"{type(strange).__name__} {strange!r}"[:200]
            where = f"{WHERE} {path}, column {column.name!r}"
            raise UserError(where, expected="texts", got=got, cure="Name another column by teacher.text_column=NAME.")
    return text_hashes(_plain(texts.tolist(), None if pairs is None else pairs.tolist()))


def _plain(texts: Sequence[str], pairs: Sequence[str] | None) -> Split:
    """The same texts, blanks as one between words: files that were written by another tool change no more."""
    plain = [" ".join(text.split()) for text in texts]
    return Split(plain, np.empty(0), None if pairs is None else [" ".join(text.split()) for text in pairs])


def _scores(table: pd.DataFrame, keys: np.ndarray, path: Path) -> Answers:
    with reading(f"{WHERE} {path}", expected="a number for each class in each row", cure="Mend the file."):
        numbers = table.to_numpy(dtype=np.float64)
    broken = ~np.isfinite(numbers).all(axis=1)
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        got = f"{table.iloc[row].tolist()} in row {row}"[:200]
        raise UserError(f"{WHERE} {path}", expected="a number for each class", got=got, cure="Leave that row out.")
    if (numbers >= 0).all() and (abs(numbers.sum(axis=1) - 1) <= _SUMS).all():
        found, counts, numbers = _grouped(keys, numbers)
        return Answers(
            found, np.log((numbers / counts[:, None]).clip(_SMALLEST)).astype(np.float32), None, False, (0, "")
        )
    found, counts, numbers = _grouped(keys, numbers)
    return Answers(found, (numbers / counts[:, None]).astype(np.float32), None, False, (0, ""))


def _votes(
    labels: pd.Series, confidence: pd.Series | None, keys: np.ndarray, classes: Sequence[str], path: Path
) -> Answers:
    place = {name: number for number, name in enumerate(classes)}
    lists = [one if isinstance(one, list | tuple | np.ndarray) else (one,) for one in labels]
    rows = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    said = [_named(as_word(vote).strip(), place) for one in lists for vote in one]
    number = np.array([place.get(vote, -1) for vote in said], dtype=np.int64)
    strange = [vote for vote, known in zip(said, number, strict=True) if known < 0 and vote]
    if len(strange) > len(said) / 2:
        got = f"{strange[0]!r} and the like in {len(strange):,} of {len(said):,} answers"
        cure = "Name the column of the labels by teacher.label_column=NAME, or write the data's names."
        raise UserError(f"{WHERE} {path}", expected=f"the data's classes ({_listed(classes)})", got=got, cure=cure)
    known = number >= 0
    one_hot = np.zeros((int(known.sum()), len(classes)))
    one_hot[np.arange(len(one_hot)), number[known]] = 1
    found, counts, votes = _grouped(keys[rows[known]], one_hot)
    sure = None
    if confidence is not None:
        with reading(f"{WHERE} {path}, column {confidence.name!r}", expected="numbers from 0 to 1", cure="Mend it."):
            told = confidence.to_numpy(dtype=np.float64)
            if not ((told >= 0) & (told <= 1)).all():
                raise ValueError(f"one of {float(told[~((told >= 0) & (told <= 1))][0]):g}")
        sure = (_grouped(keys[rows[known]], told[rows[known]][:, None])[2][:, 0] / counts).astype(np.float32)
    return Answers(
        found, (votes / counts[:, None]).astype(np.float32), sure, True, (len(strange), next(iter(strange), ""))
    )


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
