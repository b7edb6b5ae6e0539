"""Whether two tokenizer.json make the same pieces of every text."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kd_lab.core.cache import file_hash
from kd_lab.data.tokenizer_file import SAVE, read_tokenizer


def same_tokenizer(one: Path, other: Path) -> bool:
    """Whether they are alike but for what is cut and padded, which the caller says."""
    return file_hash(one) == file_hash(other) or _parts(file_hash(one), one) == _parts(file_hash(other), other)


@cache
def _parts(_: str, path: Path) -> str:
    """A tokenizer.json without what it says of padding and truncation; read once for each content."""
    return str(read_tokenizer(path, expected="a fast tokenizer", cure=SAVE).to_str())
