"""Reads a tokenizer.json, and refuses one that would fill the memory: by its size, or by what it makes of a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading

TOKENIZER = "tokenizer.json"  # what the file is called in a model's folder
SAVE = "Choose another checkpoint, or write one: transformers.AutoTokenizer.from_pretrained(NAME).save_pretrained(DIR)."
LARGEST_FILE = 200 * 2**20  # bytes; the largest vocabularies in use, of 262,144 pieces, take some 35 million
LARGEST_GROWTH = 1024  # letters that a normalizer may make of one
LARGEST_FRAME = 64  # pieces that may be added to every text, such as [CLS] and [SEP]


def read_tokenizer(path: Path, *, expected: str, cure: str) -> tokenizers.Tokenizer:
    """The tokenizer of a tokenizer.json, without padding and truncation.

    Raises:
        UserError: there is no such file, it is none, or larger than `LARGEST_FILE`; a letter could become more than
            `LARGEST_GROWTH`; or more than `LARGEST_FRAME` pieces are added to every text.
    """
    with reading(path, expected=expected, cure=cure):
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise UserError(str(path), expected=expected, got=f"a file of {size} bytes", cure=cure)
        found = tokenizers.Tokenizer.from_file(str(path))
        found.no_padding()
        found.no_truncation()
        frame = max(map(found.num_special_tokens_to_add, (False, True)))
        frame = max(frame, _longest_list(_parts(found.post_processor)))
        grown = _growth([_parts(found.normalizer), _parts(found.pre_tokenizer)])
    if frame > LARGEST_FRAME:
        raise UserError(str(path), expected=expected, got=f"one that adds {frame} pieces to every text", cure=cure)
    if grown > LARGEST_GROWTH:
        raise UserError(str(path), expected=expected, got="one that makes texts a thousand times as long", cure=cure)
    return found


def _parts(part: Any) -> Any:
    return None if part is None else json.loads(part.__getstate__())


def _longest_list(part: Any) -> int:
    inner = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
    return max([len(part) if isinstance(part, list) else 0, *map(_longest_list, inner)])


def _growth(part: Any) -> int:
    """Letters that its `Replace` and `Prepend` can make of one, at most: the product over all of them."""
    if isinstance(part, list):
        grown = 1
        for one in part:
            grown = min(grown * _growth(one), LARGEST_GROWTH + 1)
        return grown
    if not isinstance(part, dict):
        return 1
    if part.get("type") == "Replace":
        literal = part["pattern"].get("String")
        return max(1, -(-len(part["content"]) // len(literal)) if literal else 1 + len(part["content"]))
    if part.get("type") in ("Prepend", "Metaspace"):
        return 1 + len(part.get("prepend") or part.get("replacement") or "")
    return _growth([inner for inner in part.values() if isinstance(inner, dict | list)])


def vocab_size(tokenizer: tokenizers.Tokenizer, where: Path) -> int:
    """Rows that an embedding of the pieces needs: as many as there are pieces, or more where numbers have gaps.

    Raises:
        UserError: more than twice as many numbers as pieces.
    """
    pieces: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    rows = max(pieces.values(), default=-1) + 1
    if not 0 < rows <= 2 * len(pieces) + 1000:
        got = f"{len(pieces)} pieces with numbers up to {rows - 1}" if pieces else "no pieces"
        raise UserError(str(where), expected="pieces, numbered from 0", got=got, cure="Choose another checkpoint.")
    return max(rows, len(pieces))
