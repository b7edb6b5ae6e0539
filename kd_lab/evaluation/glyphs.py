"""Fonts that have the letters of some names, and the names with what no installed font has written out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

_BOXES = ("Last Resort", "LastResort")


def fonts_for(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(families to be tried in turn, the names).

    A letter that no installed font has stands in its name as Python escapes it, such as \\u52a8: matplotlib would draw
    a box for it and warn. Fonts but the first are looked at only where letters are missing.
    """
    first = findfont(FontProperties())
    families = [FontProperties(fname=first).get_name()]
    missing = set("".join(names)) - _letters(first)
    for path, family in _installed() if missing else ():
        if has := missing & _letters(path):
            missing -= has
            families.append(family)
        if not missing:
            break
    return families, [_written_out(name, missing) for name in names]


def shortened(name: str, longest: int) -> str:
    """A name on one line, cut where it is long, its dollar signs taken for dollars and not for mathematics."""
    plain = " ".join(str(name).split())
    return (plain if len(plain) <= longest else plain[: longest - 1] + "…").replace("$", r"\$")


def _written_out(name: str, missing: Container[str]) -> str:
    return "".join(one.encode("unicode_escape").decode() if one in missing else one for one in name)


def _installed() -> Iterable[tuple[str, str]]:
    """(path, family) of the upright fonts of common weight that matplotlib finds, but for its own font of boxes."""
    plain = (font for font in fontManager.ttflist if font.style == "normal" and str(font.weight) in ("400", "normal"))
    return sorted((font.fname, font.name) for font in plain if not font.name.lstrip(".").startswith(_BOXES))


@cache
def _letters(path: str) -> frozenset[str]:
    try:
        font = FT2Font(str(Path(path)))
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except (OSError, RuntimeError, ValueError):  # gone since matplotlib looked, or none that it can read
        return frozenset()
