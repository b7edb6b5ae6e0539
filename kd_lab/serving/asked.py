"""What may be asked of a classifier: which texts, and to be how sure."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from kd_lab.core.errors import UserError


def check_threshold(abstain: object, where: str = "abstain") -> None:
    """Refuses what is no threshold of a probability.

    Args:
        where: what the caller calls it.

    Raises:
        UserError: it is no number above 0 and up to 1.
    """
    if isinstance(abstain, bool) or not isinstance(abstain, Real) or not 0 < float(abstain) <= 1:
        got, cure = repr(abstain)[:100], "Give another, e.g. 0.9."
        raise UserError(where, expected="a probability above 0, at most 1", got=got, cure=cure)


def flaw(text: object) -> str | None:
    """What is wrong with a text to be classified; None where nothing is."""
    if not isinstance(text, str):
        return f"{type(text).__name__} {text!r}"
    if not text.strip():
        return "an empty text"
    if "\0" in text:
        return "a NUL byte, as binary files have"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "half of a surrogate pair"
    return None


def in_rows(texts: Sequence[str], seconds: Sequence[str] | None) -> list[Any]:
    """What a tokenizer takes: texts, or pairs of texts.

    Raises:
        UserError: a text is empty or no text, or the two sides differ in number.
    """
    for side, column in (("texts", texts), ("seconds", seconds)):
        if isinstance(column, str):
            raise UserError(side, expected="a list of texts", got="one text", cure="Put it in a list.")
        for row, text in enumerate(column if column is not None else ()):
            if (got := flaw(text)) is not None:
                raise UserError(f"{side}[{row}]", expected="a text", got=got, cure="Leave the row out or mend it.")
    if seconds is None:
        return list(texts)
    if len(seconds) != len(texts):
        raise UserError(
            "seconds", expected=f"{len(texts)} texts, one for each", got=str(len(seconds)), cure="Give one for each."
        )
    return list(zip(texts, seconds, strict=True))
