"""A table in Markdown as a notebook shows it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_CELL = re.compile(r"(?<!\\)\|")


def to_html(markdown: str) -> str:
    """Tables, headings, lists and lines of text as HTML; nothing in them is taken for HTML."""
    return "".join(_blocks(markdown.splitlines()))


def _blocks(lines: list[str]) -> Iterator[str]:
    for place, line in enumerate(lines):
        if line.startswith("| "):
            first = not lines[place - 1 : place] or not lines[place - 1].startswith("| ")
            last = not lines[place + 1 : place + 2] or not lines[place + 1].startswith("| ")
            rule = set(line) <= set("|-: ")
            yield "<table>" * first + ("" if rule else _row(line, "th" if first else "td")) + "</table>" * last
        elif line.strip():
            kind = "h3" if line.startswith("### ") else "p"
            yield f"<{kind}>{html.escape(line.removeprefix('### ').removeprefix('- '))}</{kind}>"


def _row(line: str, kind: str) -> str:
    cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip())[1:-1]]
    return f"<tr>{''.join(f'<{kind}>{html.escape(cell)}</{kind}>' for cell in cells)}</tr>"
