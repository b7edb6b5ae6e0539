"""Word vectors from a file in word2vec's format, as text or binary, or in GloVe's; by gensim."""

from __future__ import annotations

import gzip
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kd_lab.core.cache import file_hash
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.progress import say
from kd_lab.core.reading import reading
from kd_lab.data.tokenizer_file import read_tokenizer
from kd_lab.models.spec import BuildContext

_EXPECTED = "word vectors in word2vec's format, text or binary, or in GloVe's"
_CURE = "Name another file by model.vectors=FILE, or choose model.init=word2vec."
_STARTS = ("\u0120", "\u2581")  # what byte-level and SentencePiece vocabularies put before a word
_LONGEST = 2**20  # bytes of a first line


class Form(NamedTuple):
    """How the numbers stand in a file of word vectors."""

    width: int
    header: bool  # whether the first line says how many and how wide, as word2vec's does
    binary: bool


def form_of(path: Path) -> Form:
    """The form that the first two lines of a file show.

    Raises:
        UserError: there is no such file, or it holds no word vectors.
    """
    with reading(path, expected=_EXPECTED, cure=_CURE), _open(path) as file:
        first, second = file.readline(_LONGEST), file.readline(_LONGEST)
        fields = first.split()
        if len(fields) == 2 and all(field.isdigit() for field in fields):
            width = int(fields[1])
            return Form(width, True, not _is_vector(second, width))
        if len(fields) < 3 or not _is_vector(first, len(fields) - 1):
            raise ValueError("its first line is neither a header nor a word with its numbers")
        return Form(len(fields) - 1, False, False)


def check_width(path: Path, width: int) -> None:
    """Refuses a file whose vectors have another width.

    Raises:
        UserError: they have, or there is no such file.
    """
    if (found := form_of(path).width) != width:
        cure = f"Choose model.embedding={found}."
        raise UserError("model.embedding", expected=f"{found}, the width of {path}", got=str(width), cure=cure)


def of_file(context: BuildContext, path: Path) -> tuple[Tensor, Tensor]:
    """(ids of the pieces that the file has, (their number, width) vectors), from the cache or read now; says how many.

    A piece takes the vector of its text, else of its text in small letters. One that goes on a word, such as "##ing"
    of a WordPiece, has none.

    Raises:
        UserError: the file cannot be read, or has no piece at all.
    """
    assert context.tokenizer is not None  # which each fit has
    pieces = read_tokenizer(context.tokenizer, expected="a fast tokenizer", cure="Choose another checkpoint.")
    texts = {number: _word(piece) for piece, number in pieces.get_vocab(with_added_tokens=True).items()}
    parts = {
        "file": file_hash(path),
        "tokenizer": file_hash(context.tokenizer),
        "code": code_hash("kd_lab.models.vectors_file"),
    }

    def make(draft: Path) -> None:
        ids, vectors = _read(path, {number: text for number, text in sorted(texts.items()) if text})
        save_file({"ids": ids, "vectors": vectors}, draft / "vectors.safetensors")

    found = load_file(context.cache.build("vectors_file", parts, make) / "vectors.safetensors")
    ids = found["ids"]
    counted = Counter(chain.from_iterable(context.sentences()))
    covered = sum(counted[str(int(piece))] for piece in ids) / max(1, counted.total())
    say(f"{path.name}: vectors of {len(ids):,} of {context.vocab_size:,} pieces, {100 * covered:.1f} % of train's text")
    return ids, found["vectors"]


def _read(path: Path, texts: dict[int, str]) -> tuple[Tensor, Tensor]:
    """Reads the file, and keeps the vectors of pieces."""
    from gensim.models import KeyedVectors

    form = form_of(path)
    with reading(path, expected=_EXPECTED, cure=_CURE):
        found = KeyedVectors.load_word2vec_format(str(path), binary=form.binary, no_header=not form.header)
    ids, rows = [], []
    for number, text in texts.items():
        known = next((word for word in (text, text.lower()) if word in found.key_to_index), None)
        if known is not None:
            ids.append(number)
            rows.append(found.key_to_index[known])
    if not ids:
        expected = "word vectors of some piece that the student reads"
        raise UserError(str(path), expected=expected, got=f"{len(found):,} other words", cure=_CURE)
    return torch.tensor(ids), torch.from_numpy(found.vectors[rows].copy()).float()


def _word(piece: str) -> str:
    """The word that a piece is, or ""."""
    if piece.startswith("##") and len(piece) > 2:
        return ""
    return piece.removeprefix(_STARTS[0]).removeprefix(_STARTS[1])


def _is_vector(line: bytes, width: int) -> bool:
    """Whether a line is a word and so many numbers."""
    try:
        fields = line.decode().rstrip().split(" ")
        return len(fields) == width + 1 and all(float(field) == float(field) for field in fields[1:])
    except ValueError:
        return False


def _open(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
