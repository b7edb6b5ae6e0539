"""What identifies the rows of a split: a hash of each row's text, or of its two texts."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np

from kd_lab.data.dataset import Split


def text_hashes(split: Split) -> np.ndarray:
    """(N,) uint64, a hash of each row's texts in row order; the same text has the same hash in every data set.

    Two models can be compared row by row only where these are equal: equal columns of labels say nothing of the texts,
    e.g. of two splits of a file that is sorted by class. Labels and tokenizers have no part in them.
    """
    pairs = split.pairs if split.pairs is not None else [None] * len(split.texts)
    hashes = b"".join(_hash(text, pair) for text, pair in zip(split.texts, pairs, strict=True))
    return np.frombuffer(hashes, dtype="<u8").astype(np.uint64)


def _hash(text: str, pair: str | None) -> bytes:
    first = text.encode("utf-8", "surrogatepass")
    found = blake2b(first, digest_size=8)
    if pair is not None:  # the length says where the first text ends
        found.update(len(first).to_bytes(8, "little") + pair.encode("utf-8", "surrogatepass"))
    return found.digest()
