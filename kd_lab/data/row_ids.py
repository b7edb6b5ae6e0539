"""Ids that a file gives its rows: the same whatever kind of number or word they were written as."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.data.dataset import Split

_EXACT = 2**53  # from where on a float no longer tells whole numbers apart


def as_id(value: Any) -> str:
    """The id as a word, "" where there is none: 7, "7" and 7.0 are one.

    Raises:
        TypeError: it is no number and no word.
        ValueError: it is too large a number for a float.
    """
    if isinstance(value, str):
        word = value.strip()
        if "." not in word:
            return word
        whole, point, rest = word.partition(".")
        return whole if point and rest and not rest.strip("0") and whole.removeprefix("-").isdecimal() else word
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if abs(value) >= _EXACT:
            raise ValueError(f"{value:g} as a floating number, which is not exact")
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, list | tuple | set | dict | bytes | np.ndarray):
        raise TypeError(f"{type(value).__name__} {value!r}"[:200])
    return "" if value is None or str(value) in ("<NA>", "NaT") else as_id(str(value))


def read_ids(values: Iterable[Any], where: str) -> list[str]:
    """A column of ids as words.

    Args:
        where: the column, for errors.

    Raises:
        UserError: one of them is no id.
    """
    try:
        return [as_id(value) for value in values]
    except (TypeError, ValueError) as error:
        cure = "Write them as texts, or name another column."
        raise UserError(where, expected="ids: whole numbers or words", got=str(error), cure=cure) from error


def id_hashes(ids: Sequence[str]) -> np.ndarray:
    """(N,) uint64, a hash of each id; no text has the same hash, see `text_hashes`."""
    told = b"".join(blake2b(one.encode("utf-8", "surrogatepass"), digest_size=8, person=b"id").digest() for one in ids)
    return np.frombuffer(told, dtype="<u8").astype(np.uint64)


def refuse_repeated(splits: Mapping[str, Split], where: str) -> None:
    """Refuses ids that two rows have: nobody could say which of them is meant.

    Raises:
        UserError: naming one, and what to do.
    """
    seen: dict[str, str] = {}
    for name, split in splits.items():
        own = Counter(filter(None, split.ids or ()))
        once = "an id for each row, each of them once"
        if again := [one for one, count in own.items() if count > 1]:
            cure = "Mend the ids, or leave teacher.id_column out: answers are joined by their text."
            got = f"{again[0]!r} {own[again[0]]} times in {name} ({len(again):,} ids repeat)"
            raise UserError(where, expected=once, got=got, cure=cure)
        if both := [one for one in own if one in seen]:
            got = f"{both[0]!r} in {seen[both[0]]} and in {name} ({len(both):,} ids repeat)"
            cure = "Where the file answers the rows of one split, name it, e.g. teacher.split=train; or mend the ids."
            raise UserError(where, expected=once, got=got, cure=cure)
        seen |= dict.fromkeys(own, name)
