"""Cuts long texts into sentences, for a student of short ones."""

from __future__ import annotations

import re

_END = re.compile(
    r"(?<=[.!?…])\s+"  # a mark and a blank
    r"|(?<=[.!?…][\"'”\u2019»)\]])\s+"  # a mark, a closing quote or bracket, and a blank
    r"|(?<=[\u3002\uff01\uff1f])"  # marks that need no blank
    r"|(?:<br\s*/?>|[\n\r])+"  # lines, those of HTML too
)


def sentences(text: str, least: int, most: int) -> list[str]:
    """The sentences of a text that have `least` to `most` words, in order.

    One ends at `.`, `!`, `?` or an ellipsis before a blank, at their wide forms, and where a line does: "Mr. Smith" is
    cut, which a least number of words mostly takes out. A word is what stands between blanks.
    """
    found = (one.strip() for one in _END.split(text))
    return [one for one in found if least <= len(one.split()) <= most]
