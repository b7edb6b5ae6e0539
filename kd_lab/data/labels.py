"""What a column of labels says: which classes there are, which rows have none, and what is no label of a class."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.data.dataset import UNLABELLED

_LONGEST_NUMBER = 300  # digits; Python refuses to read thousands
_MOST_LEVELS = 10  # numbers that are not whole, from which labels are scores: ten half stars are classes
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,15}\.\d{1,15}", re.ASCII)
_WHOLE = re.compile(r"-?\d+(?:\.0+)?", re.ASCII)
_SHOWN = 3  # pairs of twins that a warning names


class Labels(NamedTuple):
    """The labels of all splits, as numbers of classes."""

    classes: tuple[str, ...]
    splits: dict[str, np.ndarray]  # (N,) int64, class index or -1; with `sets` the row of these
    notes: tuple[str, ...]  # what the user should know of how they were read
    sets: np.ndarray | None = None  # (K, C) bool, which labels a row bears, where it may bear several


def as_word(value: Any) -> str:
    """A label of any plain kind as a word, "" where there is none.

    Raises:
        TypeError: it is a list or a mapping.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return "" if math.isnan(value) else str(value)
    if isinstance(value, list | tuple | set | dict | np.ndarray):
        raise TypeError("several labels")
    return "" if value is None or str(value) in ("<NA>", "NaT") else str(value)


def several_labels(where: str) -> UserError:
    """The mistake of giving lists of labels."""
    cure = "Several labels on a row are task=multi_label. Else name another column with dataset.label_column=NAME."
    return UserError(where, expected="one label on each row", got="lists of labels", cure=cure)


def read_labels(words: Mapping[str, Sequence[str]], where: str) -> Labels:
    """The labels of all splits as numbers of classes, in the order of numbers where all are some, else of words.

    Blanks around a label are no part of it. Whole numbers with a point, such as 1.0, are whole numbers. In train -1 is
    no label where all others, two at least, are whole numbers from 0 and no other split has a -1; else it is a class.

    Args:
        words: split -> the label of each row, "" where there is none.
        where: the column, for errors.

    Raises:
        UserError: they are scores.
    """
    notes = []
    bare = {name: [word.strip() for word in split] for name, split in words.items()}
    around = [word for name, split in words.items() for word, own in zip(split, bare[name], strict=True) if word != own]
    if around := list(filter(str.strip, around)):
        in_rows = f"in {len(around):,} row{'s' if len(around) > 1 else ''}, e.g. {_shown(around[0])}"
        notes.append(f"blanks around labels are no part of a class's name: left out {in_rows}")
    found = {word for split in bare.values() for word in split} - {""}
    refuse_scores(found, where)
    if any("." in word for word in found) and all(_whole_apart(set(split) - {""}) for split in bare.values()):
        bare = {name: [word.partition(".")[0] for word in split] for name, split in bare.items()}
        some = min(word for word in found if "." in word)
        notes.append(f"labels such as {some} were taken for whole numbers")
        found = {word.partition(".")[0] for word in found}
    if _minus_one_is_none(found, bare):
        rows = bare["train"].count("-1")
        found.remove("-1")
        notes.append(taken_for_none(rows))
        bare = {name: ["" if word == "-1" else word for word in split] for name, split in bare.items()}
    elif _is_sentiment(found):
        notes.append("the labels -1, 0 and 1 were taken for three classes; where -1 means none, leave it empty")
    classes = in_order(found)
    index = {"": UNLABELLED, **{word: number for number, word in enumerate(classes)}}
    numbers = {name: np.array([index[word] for word in split], dtype=np.int64) for name, split in bare.items()}
    return Labels(classes, numbers, (*notes, *twins(classes)))


def taken_for_none(rows: int) -> str:
    """What is said of rows whose label -1 stands for none."""
    taken = f"the label -1 of {rows:,} rows was taken for none, as the others are whole numbers from 0"
    return f"{taken}; where it is a class, write it as a word"


def twins(classes: Iterable[str]) -> list[str]:
    """A warning of classes whose names differ in case, blanks or the form of Unicode alone, where there are some."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    groups = [sorted(group) for group in alike.values() if len(group) > 1]
    if not groups:
        return []
    told = "; ".join(" and ".join(map(_shown, group)) for group in groups[:_SHOWN])
    more = f" and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    return [
        f"classes that differ in case, blanks or the form of Unicode alone: {told}{more}; where they are one, write "
        "them alike in the file"
    ]


def _shown(name: str) -> str:
    """The name in quotes, with all that one cannot see written out."""
    letters = unicodedata.normalize("NFC", name) == name and all(one == " " or one.isprintable() for one in name)
    return repr(name) if letters else ascii(name)


def refuse_scores(found: Iterable[str], where: str) -> None:
    """Refuses labels that are so many different numbers, not all of them whole, that they must be scores."""
    numbers = list(found)
    if len(numbers) <= _MOST_LEVELS or not all(map(_NUMBER.fullmatch, numbers)) or all(map(_WHOLE.fullmatch, numbers)):
        return
    some = ", ".join(sorted(numbers, key=lambda one: (float(one), one))[:_SHOWN])
    cure = (
        "A model for regression is not there in this version: cut the scores into classes; where they are names of "
        "classes, write them with a letter, e.g. v1.2."
    )
    got = f"{len(numbers)} different numbers ({some}, ...): scores, which are for regression"
    raise UserError(where, expected="classes", got=got, cure=cure)


def _whole_apart(words: set[str]) -> bool:
    """Whether all are whole numbers, and none the same as another."""
    return all(map(_WHOLE.fullmatch, words)) and len({word.partition(".")[0] for word in words}) == len(words)


def _minus_one_is_none(found: set[str], splits: Mapping[str, Sequence[str]]) -> bool:
    others = found - {"-1"}
    in_train_alone = "-1" in found and not any("-1" in split for name, split in splits.items() if name != "train")
    return in_train_alone and len(others) > 1 and all(map(str.isdecimal, others)) and not _is_sentiment(found)


def _is_sentiment(found: set[str]) -> bool:
    """Whether labels are as likely to be three classes (negative, neutral, positive) as two and none."""
    return found == {"-1", "0", "1"}


def in_order(found: Iterable[str]) -> tuple[str, ...]:
    """The classes as they are numbered: by number where all are numbers, whole or with a point; else as words."""
    known = list(found)
    numbers = all(_is_integer(word) or _DECIMAL.fullmatch(word) for word in known)
    return tuple(sorted(known, key=_by_number if numbers else str))


def _is_integer(label: str) -> bool:
    return label.removeprefix("-").isdecimal() and len(label) <= _LONGEST_NUMBER


def _by_number(label: str) -> tuple[float, str]:
    return float(label) if "." in label else int(label), label  # 1 and 01 are two labels
