"""A table that a narrow terminal shows in part rather than in pieces."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from kd_lab.core.table_width import fit


class FittedTable(Table):
    """A table of which no word is broken: a column that there is no room for is left out, and its head is told below.

    Attributes:
        words, spare: places of columns, as `fit` takes them.
    """

    words: Collection[int] = ()
    spare: Sequence[int] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The whole table where it has room as it is; else narrower, without lines between its columns."""
        room = options.max_width
        if self.__rich_measure__(console, options.update(width=10_000)).maximum > room:
            texts = [[str(column.header), *map(str, column.cells)] for column in self.columns]
            found = fit(texts, room, 2, self.words, self.spare)
            if found is not None:
                yield from self._of(found.columns, found.widths).__rich_console__(console, options)
                return
        yield from super().__rich_console__(console, options)

    def _of(self, places: Sequence[int], widths: Sequence[int]) -> Table:
        left_out = [str(column.header) for place, column in enumerate(self.columns) if place not in places]
        told = f"no room here for {', '.join(left_out)}" if left_out else ""
        caption = "\n".join(filter(None, (told, str(self.caption or ""))))
        table = Table(
            title=self.title,
            caption=Text(caption) if caption else None,
            caption_justify="left",
            box=SIMPLE_HEAD,
            show_edge=False,
            padding=(0, 1, 0, 0),
        )
        columns = [self.columns[place] for place in places]
        for column, width in zip(columns, widths, strict=True):
            table.add_column(column.header, justify=column.justify, overflow=column.overflow, width=width)
        for row, cells in zip(self.rows, zip(*(column.cells for column in columns), strict=True), strict=True):
            table.add_row(*cells, style=row.style)
        return table
