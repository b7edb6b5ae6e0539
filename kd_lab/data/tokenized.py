"""A data set tokenised once: memory-mapped arrays in the cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core.cache import Cache
from kd_lab.core.code_hash import code_hash
from kd_lab.core.progress import Advance
from kd_lab.data.dataset import MULTI_LABEL, UNLABELLED, Dataset, Split, Texts, checked, overlap
from kd_lab.data.label_sets import gold
from kd_lab.data.label_warnings import label_warnings
from kd_lab.data.npy_file import NpyFile
from kd_lab.data.stored_texts import texts_stored_in
from kd_lab.data.text_hashes import text_hashes
from kd_lab.data.token_warnings import token_warnings
from kd_lab.data.tokenizer import TokenizerBase
from kd_lab.data.unlabelled import without_judged

_TEST_TEXTS, _LABEL_SETS = "test.texts.npy", "label_sets.npy"
_ROWS = 4096  # sentences that are read at a time


@dataclass(frozen=True)
class TokenSplit:
    """One split; row `i` has the word pieces `token_ids[offsets[i]:offsets[i + 1]]`."""

    token_ids: np.ndarray  # (sum of lengths,) int32, memory-mapped
    offsets: np.ndarray  # (N + 1,) int64
    labels: np.ndarray  # (N,) int64, a class or -1; see `gold`
    token_type_ids: np.ndarray | None  # (sum of lengths,) int8, or None for single sentences
    label_sets: np.ndarray | None = None  # (K, C) bool, where a row may bear several labels: `labels` are rows of it

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) pieces in each row."""
        return np.diff(self.offsets)

    @property
    def labelled(self) -> np.ndarray:
        """(M,) int64, ids of the rows that have a label, ascending."""
        return np.flatnonzero(np.asarray(self.labels) != UNLABELLED)

    def gold(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """What rows bear, see `label_sets.gold`."""
        return gold(np.array(self.labels[rows], dtype=np.int64), self.label_sets)


@dataclass(frozen=True)
class Tokens:
    """A tokenised data set in the cache."""

    folder: Path
    classes: tuple[str, ...]
    vocab_size: int
    pad_id: int
    max_tokens: int
    warnings: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Its name in the cache."""
        return self.folder.name

    @property
    def multi_label(self) -> bool:
        """Whether a row may bear several labels."""
        return (self.folder / _LABEL_SETS).is_file()

    @property
    def pairs(self) -> bool:
        """Whether a row has two texts."""
        return (self.folder / "train.segments.npy").is_file()

    @property
    def card(self) -> dict[str, Any]:
        """What the `classifier.json` of a model that is fitted on them says, beside its format."""
        said = {"labels": self.classes, "max_tokens": self.max_tokens, "pad_id": self.pad_id, "pairs": self.pairs}
        return {**said, "task": MULTI_LABEL} if self.multi_label else said

    def split(self, name: str) -> TokenSplit:
        """The split train, validation or test."""

        def read(part: str) -> np.ndarray:
            array: np.ndarray = np.load(self.folder / f"{name}.{part}.npy", mmap_mode="r", allow_pickle=False)
            return array

        label_sets = np.load(self.folder / _LABEL_SETS, allow_pickle=False) if self.multi_label else None
        has_segments = (self.folder / f"{name}.segments.npy").is_file()
        segments = read("segments") if has_segments else None
        return TokenSplit(read("pieces"), read("offsets"), read("labels"), segments, label_sets)

    def test_texts(self) -> np.ndarray:
        """(N,) uint64, which text each row of test is, see `text_hashes`."""
        array: np.ndarray = np.load(self.folder / _TEST_TEXTS, allow_pickle=False)
        return array

    def sentences(self) -> Iterator[list[str]]:
        """The training split's pieces as decimal strings, row by row, for word vectors."""
        train = self.split("train")
        for first in range(0, len(train), _ROWS):
            ends = train.offsets[first : first + _ROWS + 1].tolist()
            pieces = list(map(str, train.token_ids[ends[0] : ends[-1]].tolist()))
            for start, end in pairwise(ends):
                yield pieces[start - ends[0] : end - ends[0]]


def fingerprint_parts(dataset: Dataset, tokenizer: TokenizerBase) -> dict[str, Any]:
    """All that the tokens are made from."""
    return {"dataset": dataset, "tokenizer": tokenizer, "code": code_hash("kd_lab.data.tokenized", dataset, tokenizer)}


def tokenise(dataset: Dataset, tokenizer: TokenizerBase, cache: Cache, advance: Advance = lambda rows: None) -> Tokens:
    """The data set's tokens, from the cache or made now.

    Args:
        advance: called with the number of rows done since the last call.

    Raises:
        UserError: the data set cannot be read or is not fit to learn from.
    """
    folder = cache.build("tokens", fingerprint_parts(dataset, tokenizer), partial(_make, dataset, tokenizer, advance))
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return Tokens(
        folder,
        tuple(about["classes"]),
        about["vocabulary"],
        about["pad_id"],
        tokenizer.max_tokens,
        tuple(about["warnings"]),
    )


def read(dataset: Dataset, scratch: Path | None = None) -> Texts:
    """The data set's texts, row by row as they are tokenised.

    Args:
        scratch: where those lie that are stored on disk; None takes the place of temporary files.

    Raises:
        UserError: it cannot be read or is not fit to learn from.
    """
    return _read(dataset, scratch)[0]


def _read(dataset: Dataset, scratch: Path | None) -> tuple[Texts, list[str]]:
    """The same, with what was left out."""
    with nullcontext() if scratch is None else texts_stored_in(scratch):
        texts = checked(dataset.load(), f"dataset {dataset.name}")
    splits, left_out = without_judged(texts.splits)
    return texts._replace(splits=splits), left_out


def _make(dataset: Dataset, tokenizer: TokenizerBase, advance: Advance, draft: Path) -> None:
    texts, left_out = _read(dataset, draft)
    lengths = {name: _write(name, split, tokenizer, advance, draft) for name, split in texts.splits.items()}
    labelled = texts._replace(splits={name: _labelled(split) for name, split in texts.splits.items()})
    np.save(draft / _TEST_TEXTS, text_hashes(texts.splits["test"]))
    if texts.label_sets is not None:
        np.save(draft / _LABEL_SETS, texts.label_sets)
    about = {
        "classes": texts.classes,
        "vocabulary": tokenizer.vocab_size,
        "pad_id": tokenizer.pad_id,
        "warnings": [
            *(*texts.notes, *left_out, *overlap(labelled.splits), *label_warnings(labelled)),
            *token_warnings(tokenizer, texts.splits, lengths),
        ],
    }
    (draft / "about.json").write_text(json.dumps(about, indent=1, ensure_ascii=False), encoding="utf-8")


def _labelled(split: Split) -> Split:
    """The rows with a label: what has none stands in no other split any more, and says nothing of labels."""
    has_label = split.labels != UNLABELLED
    return split if has_label.all() else split.take(np.flatnonzero(has_label))


def _write(name: str, split: Split, tokenizer: TokenizerBase, advance: Advance, draft: Path) -> np.ndarray:
    """Writes a split chunk by chunk; how many pieces each row has."""
    found = []
    with ExitStack() as files:

        def file(part: str, dtype: type) -> NpyFile:
            return files.enter_context(NpyFile(draft / f"{name}.{part}.npy", dtype))

        pieces, segments = file("pieces", np.int32), None
        for rows in tokenizer.encode(split.texts, split.pairs):
            found.append(rows.lengths)
            pieces.append(rows.token_ids)
            if rows.token_type_ids is not None:
                segments = segments or file("segments", np.int8)
                segments.append(rows.token_type_ids)
            advance(len(rows.lengths))
    lengths = np.concatenate(found)
    np.save(draft / f"{name}.offsets.npy", np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
    np.save(draft / f"{name}.labels.npy", split.labels)
    return lengths
