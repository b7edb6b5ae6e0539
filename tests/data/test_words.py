"""Where the words of a text stand, and what the text says with others in their places."""

from __future__ import annotations

import pytest

from kd_lab.data.words import Words


def words(text: str) -> list[str]:
    found = Words.of(text, "[MASK]")
    return [found[place] for place in range(len(found))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's a film, isn\u2019t it?", ["It's", "a", "film", "isn\u2019t", "it"]),
        ("a [MASK] of e-mail", ["a", "[MASK]", "of", "e", "mail"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("电影\uff0c很好", ["电", "影", "很", "好"]),
        ("tüv 3.5%", ["tüv", "3", "5"]),
        ("...", []),
        ("", []),
    ],
)
def test_blanks_and_punctuation_stand_between_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_what_is_not_changed_stays_as_it_is() -> None:
    found = Words.of("  It's a film,\tyes!", "[MASK]")
    assert found.changed({}) == "  It's a film,\tyes!"
    assert found.changed({0: "x", 3: "no"}) == "  x a film,\tno!"
    assert found.ngram(1, 2, {2: "[MASK]"}) == "a [MASK]"
    assert Words.of("...", "[MASK]").changed({}) == "..."
