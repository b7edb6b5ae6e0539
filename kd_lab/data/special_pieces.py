"""The pieces of a tokenizer that stand for no text: what frames a row, parts two texts, masks and pads."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import tokenizers

from kd_lab.core.errors import UserError

_MASKS = ("[MASK]", "<mask>")
_UNKNOWN = ("[UNK]", "<unk>")
_OTHERS = ("[PAD]", "<pad>", "[CLS]", "[SEP]", "<s>", "</s>")


class SpecialPieces(NamedTuple):
    """As a tokenizer numbers them."""

    before: tuple[int, ...]  # of every row, such as [CLS]
    after: tuple[int, ...]  # such as [SEP]
    mask: int
    unknown: str | None  # as it is written
    all: tuple[int, ...]  # that are never masked, and never stand in for another; ascending

    @property
    def separator(self) -> tuple[int, ...]:
        """What stands between two texts of a row: what ends a row, or nothing."""
        return self.after[:1]


def special_pieces(tokenizer: tokenizers.Tokenizer, where: Path) -> SpecialPieces:
    """Those of a tokenizer.

    Args:
        where: its tokenizer.json, for the error.

    Raises:
        UserError: it has no piece that masks.
    """
    numbers = {name: tokenizer.token_to_id(name) for name in (*_MASKS, *_UNKNOWN, *_OTHERS)}
    masks = [number for name in _MASKS if (number := numbers[name]) is not None]
    if not masks:
        cure = "Choose a checkpoint that was pre-trained on masked words, e.g. model=distilbert_mini teacher=minilm."
        raise UserError(str(where), expected=f"a piece that masks, {' or '.join(_MASKS)}", got="none", cure=cure)
    framed = tokenizer.encode("a")
    text = [at for at, special in enumerate(framed.special_tokens_mask) if not special]
    first, end = (text[0], text[-1] + 1) if text else (len(framed.ids), len(framed.ids))
    before, after = tuple(framed.ids[:first]), tuple(framed.ids[end:])
    added = {number for number, one in tokenizer.get_added_tokens_decoder().items() if one.special}
    found = added | {number for number in numbers.values() if number is not None} | {*before, *after}
    unknown = next((name for name in _UNKNOWN if numbers[name] is not None), None)
    return SpecialPieces(before, after, masks[0], unknown, tuple(sorted(found)))
