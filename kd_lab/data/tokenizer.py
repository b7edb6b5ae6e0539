"""Turns texts into word pieces."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tokenizers

from kd_lab.core.cache import Cache, file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import MaxTokens
from kd_lab.core.reading import reading
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.dataset import Dataset
from kd_lab.data.tokenizer_file import SAVE, read_tokenizer, vocab_size

_CHUNK = 4096  # texts encoded at a time: bounds memory, long enough to keep all cores busy


class EncodedRows(NamedTuple):
    """Rows of word pieces, one behind the other."""

    lengths: np.ndarray  # (rows,) int64
    token_ids: np.ndarray  # (sum of lengths,) int32
    token_type_ids: np.ndarray | None  # (sum of lengths,) int8, 0 first text, 1 second; None for single sentences


class TokenizerBase:
    """What turns texts into word pieces, made of a tokenizer.json wherever it lies."""

    max_tokens: int

    @property
    def path(self) -> Path:
        """tokenizer.json."""
        raise NotImplementedError

    def of(self, dataset: Dataset, cache: Cache) -> TokenizerBase:
        """The tokenizer for a data set: itself, where it is not made of its texts."""
        return self

    def fingerprint_parts(self) -> dict[str, Any]:
        """The tokenizer by its content, and the cut."""
        path = self.path
        if not path.is_file():
            raise UserError(str(path), expected="a fast tokenizer", got="no such file", cure=SAVE)
        return {"tokenizer": file_hash(path), "max_tokens": self.max_tokens}

    @cached_property
    def _pieces(self) -> tokenizers.Tokenizer:
        path = self.path
        pieces = read_tokenizer(path, expected="a fast tokenizer", cure=SAVE)
        with reading(path, expected=f"a tokenizer that leaves room in {self.max_tokens} pieces", cure=SAVE):
            pieces.enable_truncation(self.max_tokens)
        return pieces

    @property
    def vocab_size(self) -> int:
        """Number of word pieces."""
        return vocab_size(self._pieces, self.path)

    @property
    def pad_id(self) -> int:
        """The piece that pads."""
        for name in ("[PAD]", "<pad>", "<|padding|>"):
            if (found := self._pieces.token_to_id(name)) is not None:
                return int(found)
        return 0

    def is_piece(self, text: str) -> bool:
        """Whether a text is one piece, such as the one that masks."""
        return self._pieces.token_to_id(text) is not None

    def encode(self, texts: Sequence[str], pairs: Sequence[str] | None) -> Iterator[EncodedRows]:
        """The rows, a chunk at a time; while a chunk is made into arrays the next one is being encoded."""
        encode = self._pieces.encode_batch_fast
        with ThreadPoolExecutor(1) as ahead:
            coming: deque[Future[list[tokenizers.Encoding]]] = deque()
            for start in range(0, len(texts), _CHUNK):
                rows: list[Any] = list(texts[start : start + _CHUNK])
                if pairs is not None:
                    rows = list(zip(rows, pairs[start : start + _CHUNK], strict=True))
                coming.append(ahead.submit(encode, rows))
                if len(coming) > 1:
                    yield self._rows(coming.popleft(), pairs is not None)
            if coming:
                yield self._rows(coming.popleft(), pairs is not None)

    def _rows(self, coming: Future[list[tokenizers.Encoding]], in_pairs: bool) -> EncodedRows:
        with reading(self.path, expected="a tokenizer that takes any text", cure=SAVE):
            return _joined(coming.result(), in_pairs)


def _joined(encoded: Sequence[tokenizers.Encoding], in_pairs: bool) -> EncodedRows:
    pieces, segments = array("i"), array("b")
    for row in encoded:
        pieces.fromlist(row.ids)
        if in_pairs:
            segments.fromlist(row.type_ids)
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
    return EncodedRows(lengths, np.array(pieces, np.int32), np.array(segments, np.int8) if in_pairs else None)


@dataclass(frozen=True)
class Tokenizer(TokenizerBase):
    """The tokenizer of a checkpoint.

    Args:
        checkpoint: whose tokenizer.json to use.
        max_tokens: longer inputs are cut, the special pieces counted; of a pair the longer text first.
    """

    checkpoint: Checkpoint
    max_tokens: MaxTokens = 128

    def __post_init__(self) -> None:
        if self.max_tokens < 4:
            raise UserError(
                "tokenizer.max_tokens", expected="at least 4", got=str(self.max_tokens), cure="Give a larger number."
            )

    @property
    def path(self) -> Path:
        """The checkpoint's tokenizer.json."""
        return self.checkpoint.folder() / "tokenizer.json"


@dataclass(frozen=True)
class TokenizerFile(TokenizerBase):
    """A tokenizer.json by itself, such as one that lies beside a compressed model.

    Args:
        file: where it lies.
        max_tokens: longer inputs are cut, the special pieces counted; of a pair the longer text first.
    """

    file: Path
    max_tokens: int = 128

    @property
    def path(self) -> Path:
        """The file."""
        return self.file
