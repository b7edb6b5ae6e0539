"""What an answer is joined to rows by: an id, or the text itself; and what speaks against a pairing by ids."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from kd_lab.data.dataset import Split
from kd_lab.data.row_ids import id_hashes
from kd_lab.data.text_hashes import text_hashes

_LETTERS = re.compile(r"[^\W\d_]+")
_PART = 4096  # rows that are looked up at a time
_SHOWN = 40  # letters of a text that an error has


def by_text(texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
    """(N,) uint64, a hash of each text, blanks as one between words: files of another tool change no more."""
    plain = [" ".join(text.split()) for text in texts]
    return text_hashes(Split(plain, np.empty(0), None if pairs is None else [" ".join(text.split()) for text in pairs]))


def by_id(ids: Sequence[str], texts: Sequence[str] | None, pairs: Sequence[str] | None) -> np.ndarray:
    """(N,) uint64, a hash of each id; where it is "", of the text, if there are texts."""
    keys = id_hashes(ids)
    without = [row for row, one in enumerate(ids) if not one] if texts else []
    if texts and without:
        keys[without] = by_text([texts[row] for row in without], pairs and [pairs[row] for row in without])
    return keys


def rows_of(keys: np.ndarray, split: Split) -> np.ndarray:
    """(N,) int64, for each row of a split the number of its answer among `keys`, -1 where there is none.

    A row that has an id is looked for by that; one that is not found so, or has none, by its text.

    Args:
        keys: ascending.
    """
    found = np.full(len(split.texts), -1)
    if split.ids is not None:
        found = np.where(np.array(list(map(bool, split.ids)), dtype=bool), _places(keys, id_hashes(split.ids)), -1)
    left = np.flatnonzero(found < 0)
    for start in range(0, len(left), _PART):  # of texts that may lie on disk
        part = left[start : start + _PART]
        rows = split.take(part)
        found[part] = _places(keys, by_text(rows.texts[:], None if rows.pairs is None else rows.pairs[:]))
    return found


def unknown_ids(ids: Sequence[str], splits: Mapping[str, Split]) -> tuple[int, str]:
    """How many ids no row of any split has, each counted once, and one of them."""
    known = {one for split in splits.values() for one in split.ids or ()}
    strange = dict.fromkeys(one for one in ids if one and one not in known)
    return len(strange), next(iter(strange), "")


def other_texts(ids: Sequence[str], texts: Sequence[str], splits: Mapping[str, Split]) -> tuple[int, int, str]:
    """(answers that stand beside another text than the row of their id has, all that were compared, one of them).

    Texts are the same where they differ in case, digits, punctuation and blanks alone.
    """
    known = {one: text for split in splits.values() for one, text in zip(split.ids or (), split.texts, strict=False)}
    differing = compared = 0
    told = ""
    for one, theirs in zip(ids, texts, strict=True):
        if not one or not theirs or (ours := known.get(one)) is None:
            continue
        compared += 1
        if theirs != ours and _bare(theirs) != _bare(ours):
            differing += 1
            told = told or f"{one!r} is {_short(theirs)} there and {_short(ours)} in the data"
    return differing, compared, told


def _places(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    if not len(keys):
        return np.full(len(wanted), -1)
    place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _bare(text: str) -> str:
    return " ".join(_LETTERS.findall(text.casefold())) or " ".join(text.split())


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
