"""The words of a text, and the text again with some of them changed or with a few of them alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_BETWEEN = r"\s!-/:-@\[-`{-~\u00a1\u00ab\u00b7\u00bb\u00bf\u2010-\u205e\u3000-\u303f\uff01-\uff0f\uff1a-\uff20"
_ALONE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # signs of Chinese and Japanese, each a word
_WORD = rf"[{_ALONE}]|[^{_BETWEEN}{_ALONE}]+(?:['\u2019][^{_BETWEEN}{_ALONE}]+)*"


@dataclass(frozen=True)
class Words:
    """A text and where its words stand in it; blanks and punctuation stand between them."""

    text: str
    spans: tuple[tuple[int, int], ...]  # (start, end) of each word, in order

    @classmethod
    def of(cls, text: str, whole: str) -> Words:
        """Finds them.

        Args:
            whole: what is one word, whatever it is made of, such as "[MASK]".
        """
        return cls(text, tuple(found.span() for found in re.finditer(f"{re.escape(whole)}|{_WORD}", text)))

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, place: int) -> str:
        start, end = self.spans[place]
        return self.text[start:end]

    def changed(self, new: Mapping[int, str]) -> str:
        """The text with other words at some places."""
        return self._from(0, new, range(len(self.spans))) + self.text[self.spans[-1][1] if self.spans else 0 :]

    def ngram(self, first: int, length: int, new: Mapping[int, str]) -> str:
        """`length` words from the word `first` on, as they stand in `changed(new)`."""
        return self._from(self.spans[first][0], new, range(first, first + length))

    def _from(self, at: int, new: Mapping[int, str], places: range) -> str:
        parts: list[str] = []
        for place in places:
            start, end = self.spans[place]
            parts += self.text[at:start], new.get(place, self.text[start:end])
            at = end
        return "".join(parts)
