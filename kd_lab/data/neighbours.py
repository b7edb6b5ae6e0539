"""Words that lie near others in the word embedding of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.tokenizer_file import read_tokenizer

if TYPE_CHECKING:
    import tokenizers

TABLES = ("word_embeddings.weight", "tok_embeddings.weight", "embed_tokens.weight", "wte.weight")  # how names end
_SCALE = 2**15  # of which components are whole multiples: their products add up exactly, on any number of threads
_CHUNK = 256  # words that are compared at a time
_CURE = "Choose another checkpoint, or none: dataset.augmentation.replace=0."


def neighbours(words: Iterable[str], number: int, checkpoint: Checkpoint) -> dict[str, list[str]]:
    """Word -> the words whose vectors are most like its own by cosine, the nearest first, without the word itself.

    Only words of letters that are one piece of the checkpoint's tokenizer have a vector; others are left out.

    Args:
        number: how many for each word.

    Raises:
        UserError: the checkpoint is not to be had, or no table in it is known for a word embedding.
    """
    pieces = read_tokenizer(checkpoint.folder() / "tokenizer.json", expected="a fast tokenizer", cure=_CURE)
    vectors = _unit_vectors(checkpoint)
    names = _whole_words(pieces, len(vectors))
    numbers = np.array(sorted(names), dtype=np.int64)
    place = {int(piece): row for row, piece in enumerate(numbers)}
    known = vectors[numbers]
    asked = sorted(set(words))
    rows = {
        word: place[one.ids[0]]
        for word, one in zip(asked, pieces.encode_batch_fast(asked, add_special_tokens=False), strict=True)
        if len(one.ids) == 1 and one.ids[0] in place
    }
    wanted = np.unique(np.fromiter(rows.values(), np.int64, len(rows)))
    near: dict[int, list[str]] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        likeness = known[chunk] @ known.T
        likeness[np.arange(len(chunk)), chunk] = -np.inf
        count = min(number, len(known) - 1)
        nearest = np.argpartition(-likeness, max(count - 1, 0), axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(likeness, nearest, axis=1), axis=1, kind="stable")
        for row, found in zip(chunk, np.take_along_axis(nearest, order, axis=1), strict=True):
            near[int(row)] = [names[int(numbers[one])] for one in found]
    return {word: near[row] for word, row in rows.items() if near[row]}


def in_the_case_of(word: str, other: str) -> str:
    """The other word in capitals where the first is written so, unless it has some of its own."""
    if not other.islower() or not word[:1].isupper():
        return other
    return other.upper() if len(word) > 1 and word.isupper() else other.capitalize()


def _whole_words(pieces: tokenizers.Tokenizer, rows: int) -> dict[int, str]:
    """Piece -> the word that it is, of letters alone; a part of a word is none, nor is one without a vector."""
    every = [number for number in pieces.get_vocab(with_added_tokens=False).values() if number < rows]
    told = [one.strip() for one in pieces.decode_batch([[number] for number in every], skip_special_tokens=True)]
    again = pieces.encode_batch_fast(told, add_special_tokens=False)
    return {
        number: word
        for number, word, one in zip(every, told, again, strict=True)
        if len(word) > 1 and word.isalpha() and one.ids == [number]
    }


def _unit_vectors(checkpoint: Checkpoint) -> np.ndarray:
    """(V, H) float64, the word embedding with rows of length 1, each component a whole multiple of 1 / `_SCALE`."""
    from safetensors import safe_open

    path = checkpoint.weights()
    with reading(path, expected="weights as safetensors", cure=_CURE), safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.endswith(TABLES)]  # noqa: SIM118 it is no mapping
        if not names:
            expected = f"a word embedding, called like {' or '.join(TABLES)}"
            raise UserError(str(path), expected=expected, got="none", cure=_CURE)
        table = file.get_tensor(names[0]).double().numpy()
    lengths = np.sqrt((table * table).sum(axis=1, keepdims=True)).clip(1e-12)
    found: np.ndarray = np.rint(table / lengths * _SCALE)
    return found
