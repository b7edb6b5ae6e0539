"""Which columns of a table a terminal has room for, and how wide each is so that no word of it is broken."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

_MOST_LINES = {True: 12, False: 2}  # of a text that is words, and of a number with its interval
_MOST_OF_HEAD = 3


@dataclass(frozen=True)
class Widths:
    """The columns that are shown.

    Args:
        columns: their places.
        widths: of each, in characters.
    """

    columns: Sequence[int]
    widths: Sequence[int]


def fit(
    columns: Sequence[Sequence[str]], room: int, between: int, words: Collection[int], spare: Sequence[int]
) -> Widths | None:
    """As many columns as there is room for, on as few lines as that takes.

    Args:
        columns: the texts of each, its head first.
        room: characters for all.
        between: characters beside those of a column's texts.
        words: places of the columns that hold words, which may take more lines.
        spare: places of columns that can be left out, in that order.

    Returns:
        None where there is no room for the other columns.
    """
    ladders = [_ladder(head, texts, _MOST_LINES[place in words]) for place, (head, *texts) in enumerate(columns)]
    for left_out in range(len(spare) + 1):
        shown = [place for place in range(len(columns)) if place not in spare[:left_out]]
        widths = _narrowed([ladders[place] for place in shown], room - between * len(shown))
        if widths is not None:
            return Widths(shown, widths)
    return None


def _narrowed(ladders: Sequence[Sequence[tuple[int, int]]], room: int) -> list[int] | None:
    """A width from each ladder, so that all have room and the highest row is as low as can be."""
    rungs = [0] * len(ladders)
    while (excess := sum(ladder[rung][1] for ladder, rung in zip(ladders, rungs, strict=True)) - room) > 0:
        lower = [place for place, rung in enumerate(rungs) if rung + 1 < len(ladders[place])]
        if not lower:
            return None
        nexts = {place: ladders[place][rungs[place] + 1] for place in lower}
        saved = {place: ladders[place][rungs[place]][1] - width for place, (_, width) in nexts.items()}
        rungs[min(lower, key=lambda place: (nexts[place][0], -min(saved[place], excess)))] += 1
    return [ladder[rung][1] for ladder, rung in zip(ladders, rungs, strict=True)]


def _ladder(head: str, texts: Sequence[str], most: int) -> list[tuple[int, int]]:
    """(lines that the highest text takes, the least width for that), from one line on; each narrower than the last."""
    in_head, in_texts = _sizes(head), set(map(_sizes, texts))  # few rows differ in the sizes of their words
    every = {in_head, *in_texts}
    least = max((size for words in every for size in words), default=0)
    whole = max((sum(words) + len(words) - 1 for words in every if words), default=0)
    found = [(1, whole)]
    for width in range(whole - 1, least - 1, -1):
        of_head, of_texts = _lines(in_head, width), max((_lines(words, width) for words in in_texts), default=1)
        if of_head > _MOST_OF_HEAD or of_texts > most:
            break
        lines = max(of_head, of_texts)
        if lines == found[-1][0]:
            found[-1] = (lines, width)
        else:
            found.append((lines, width))
    return found


def _sizes(text: str) -> tuple[int, ...]:
    """How wide each of its words is."""
    return tuple(map(cell_len, text.split()))


def _lines(words: Sequence[int], width: int) -> int:
    """Lines that words of these sizes take."""
    lines, used = 1, 0
    for size in words:
        if used and used + 1 + size > width:
            lines, used = lines + 1, size
        else:
            used += size + bool(used)
    return lines
