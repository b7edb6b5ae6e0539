"""A corpus as rows of one length, full of word pieces: memory-mapped arrays in the cache."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kd_lab.core.cache import Cache
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.progress import Advance
from kd_lab.core.reading import reading
from kd_lab.data.npy_file import NpyFile
from kd_lab.data.special_pieces import SpecialPieces, special_pieces
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenizer import TokenizerBase
from kd_lab.data.tokenizer_file import read_tokenizer, vocab_size
from kd_lab.data.transfer_rows import portions

Part = Literal["train", "held_out"]
_LETTERS = 2**20  # that are encoded at a time
_SHORT = 2**16  # pieces that two bytes tell apart


@dataclass(frozen=True)
class PackedCorpus:
    """Rows as `pack` wrote them: [CLS] text [SEP] text ... [SEP], cut wherever a row is full."""

    folder: Path
    tokens: int  # T
    vocab_size: int
    pad_id: int
    mask_id: int
    special: tuple[int, ...]  # pieces that are no text
    frame: int  # special pieces at both ends of a row
    lengths: dict[str, int]  # part -> pieces of its rows: fewer than T only where it has one row that is not full
    texts: dict[str, int]  # part -> texts that are in it

    @classmethod
    def read(cls, folder: Path) -> PackedCorpus:
        """The corpus in a folder of the cache."""
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        return cls(folder, special=tuple(about.pop("special")), **about)

    @property
    def fingerprint(self) -> str:
        """Its name in the cache."""
        return self.folder.name

    def rows(self, part: Part) -> np.ndarray:
        """(N, T) uint16 or int32, memory-mapped."""
        found: np.ndarray = np.load(self.folder / f"{part}.npy", mmap_mode="r", allow_pickle=False)
        return found


def fingerprint_parts(corpus: TextCorpus, tokenizer: TokenizerBase) -> dict[str, Any]:
    """All that the rows are made from."""
    code = code_hash("kd_lab.data.packed_corpus", corpus, tokenizer)
    return {"corpus": corpus, "tokenizer": tokenizer, "code": code}


def pack(
    corpus: TextCorpus, tokenizer: TokenizerBase, cache: Cache, advance: Advance = lambda texts: None
) -> PackedCorpus:
    """The corpus in rows of `tokenizer.max_tokens` pieces, from the cache or packed now, in memory that does not grow.

    Texts follow each other with [SEP] between them, as in RoBERTa's FULL-SENTENCES (arXiv:1907.11692, section 4.2):
    no row is padded, and a row that the end of the corpus leaves unfinished is left out, unless it is the only one.

    Args:
        advance: called with the number of texts done since the last call.

    Raises:
        UserError: the corpus cannot be read, has fewer than two texts to part, or its tokenizer has no [MASK].
    """
    parts = fingerprint_parts(corpus, tokenizer)
    return PackedCorpus.read(cache.build("corpus", parts, partial(_make, corpus, tokenizer, advance)))


class _Rows:
    """Takes texts as pieces and writes rows."""

    def __init__(
        self, file: NpyFile, tokens: int, special: SpecialPieces, pad_id: int, most: int | None = None
    ) -> None:
        self._file, self._tokens, self._special, self._pad_id, self.most = file, tokens, special, pad_id, most
        self._room = tokens - len(special.before) - len(special.after)
        self._left = array("i")
        self.rows, self.texts, self.length = 0, 0, tokens

    def add(self, texts: Sequence[Sequence[int]]) -> None:
        for text in texts:
            self._left.extend(text)
            self._left.extend(self._special.separator)
        self.texts += len(texts)
        if whole := len(self._left) // self._room:
            self._write(np.array(self._left[: whole * self._room]).reshape(whole, self._room))
            self._left = self._left[whole * self._room :]

    def finish(self) -> None:
        """Writes what is left only where nothing else was written."""
        if self.rows or not self._left:
            return
        inner = self._left[: -len(self._special.separator) or None]
        self._write(np.array(inner)[None])
        self.length = len(self._special.before) + len(inner) + len(self._special.after)

    @property
    def full(self) -> bool:
        return self.most is not None and self.rows >= self.most

    def _write(self, inner: np.ndarray) -> None:
        inner = inner if self.most is None else inner[: self.most - self.rows]
        rows = np.full((len(inner), self._tokens), self._pad_id, np.int64)
        first = len(self._special.before)
        end = first + inner.shape[1]
        rows[:, :first], rows[:, first:end] = self._special.before, inner
        rows[:, end : end + len(self._special.after)] = self._special.after
        self._file.append(rows)
        self.rows += len(rows)


def _make(corpus: TextCorpus, tokenizer: TokenizerBase, advance: Advance, draft: Path) -> None:
    path, tokens = tokenizer.path, tokenizer.max_tokens
    cure = "Choose another checkpoint, whose tokenizer.json is whole."
    pieces = read_tokenizer(path, expected="a fast tokenizer", cure=cure)
    special = special_pieces(pieces, path)
    frame, size = len(special.before) + len(special.after), vocab_size(pieces, path)
    if tokens <= frame:
        raise UserError(
            "tokenizer.max_tokens", expected=f"more than {frame}", got=str(tokens), cure="Give a larger one."
        )
    kind = np.uint16 if size <= _SHORT else np.int32
    with ExitStack() as files:
        parts: dict[Part, _Rows] = {}
        name: Part
        for name in ("train", "held_out"):
            file = files.enter_context(NpyFile(draft / f"{name}.npy", kind, (tokens,)))
            most = corpus.held_out_rows if name == "held_out" else None
            parts[name] = _Rows(file, tokens, special, tokenizer.pad_id, most)
        for part, texts in _parted(corpus, parts):
            for some in portions(_written(texts, corpus.unknown_word, special.unknown), len, _LETTERS):
                with reading(path, expected="a tokenizer that takes any text", cure=cure):
                    encoded = pieces.encode_batch_fast(some, add_special_tokens=False)
                parts[part].add([one.ids for one in encoded])
            advance(len(texts))
        for rows in parts.values():
            rows.finish()
    if empty := [name for name, rows in parts.items() if not rows.rows]:
        got = f"{sum(rows.texts for rows in parts.values())} texts, and none {_FOR[empty[0]]}"
        cure = "Give more texts, or others by corpus.held_out_path=FILE."
        raise UserError(f"corpus {corpus.name}", expected="two texts or more", got=got, cure=cure)
    about = {
        "tokens": tokens,
        "vocab_size": size,
        "pad_id": tokenizer.pad_id,
        "mask_id": special.mask,
        "special": special.all,
        "frame": frame,
        "lengths": {name: rows.length for name, rows in parts.items()},
        "texts": {name: rows.texts for name, rows in parts.items()},
    }
    (draft / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


_FOR = {"train": "to learn from", "held_out": "to judge by"}


def _parted(corpus: TextCorpus, parts: dict[Part, _Rows]) -> Iterator[tuple[Part, list[str]]]:
    """The texts with the part that each goes to, empty ones left out."""
    held_out = parts["held_out"]
    apart = corpus.held_out_texts()
    for texts in apart or ():
        yield "held_out", list(filter(str.strip, texts))
        if held_out.full:
            break
    every, number = round(1 / corpus.held_out), 0
    for read in corpus.train():
        texts = list(filter(str.strip, read))
        places = [at for at in range(len(texts)) if (number + at) % every == 0]
        number += len(texts)
        if apart is None and not held_out.full:
            yield "held_out", [texts[at] for at in places]
            taken = set(places)
            texts = [text for at, text in enumerate(texts) if at not in taken]
        yield "train", texts


def _written(texts: Iterable[str], word: str | None, unknown: str | None) -> Iterable[str]:
    """The texts, a word that was taken out written as the tokenizer does."""
    return (text.replace(word, unknown) for text in texts) if word and unknown else texts
