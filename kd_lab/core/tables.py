"""Tables of texts: for the terminal, for Markdown and for CSV."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

MISSING = "-"  # in a cell of which nothing is known


def to_rich(
    title: str,
    head: Sequence[str],
    lines: Iterable[Sequence[str]],
    *,
    words: Collection[int],
    spare: Collection[str] = (),
    styles: Iterable[str] = (),
    caption: str | None = None,
) -> Table:
    """The table for the terminal: of any width, no word is broken, and what there is no room for is named.

    Args:
        words: places of the columns that hold words, which stand left; numbers stand right.
        spare: heads of columns that a narrow terminal goes without, in that order.
        styles: of each line.
        caption: what stands under it.
    """
    from rich.text import Text

    from kd_lab.core.fitted_table import FittedTable

    table = FittedTable(title=Text(title), caption=None if caption is None else Text(caption), caption_justify="left")
    for place, name in enumerate(head):
        table.add_column(name, justify="left" if place in words else "right", overflow="fold")
    chosen = iter(styles)
    for line in lines:
        table.add_row(*map(Text, line), style=next(chosen, ""))
    table.words, table.spare = words, [head.index(name) for name in spare if name in head]
    return table


def to_markdown(head: Sequence[str], lines: Iterable[Sequence[str]], *, words: Collection[int]) -> str:
    """The table as GitHub shows it; ends with a line break.

    Args:
        words: as in `to_rich`.
    """
    rule = ["---" if place in words else "---:" for place in range(len(head))]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in (head, rule, *lines))
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def milliseconds(value: float) -> str:
    """Such as "8.26", or below a twentieth "0.028"."""
    return f"{value:.{2 if value >= 0.05 else 3}f}"


def one_line(text: object) -> str:
    """The text with every run of white space as one space."""
    return " ".join(str(text).split())


def bullets(notes: Iterable[str]) -> str:
    """A list in Markdown, a line a note."""
    return "".join(f"- {note}\n" for note in notes)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV with every name that any row has, in order of appearance; empty where a row lacks it."""
    text = StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
