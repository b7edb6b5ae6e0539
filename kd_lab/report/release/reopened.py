"""Finished cells opened again, to ask their models anew: what a result's config means, and its data set."""

from __future__ import annotations

from kd_lab.data.tokenized import Tokens
from kd_lab.pipeline.cell import Cell


class ReopenedCells:
    """Cells of a study; those that read the same word pieces share them, so that what is to be said is said once."""

    def __init__(self) -> None:
        self._tokens: dict[str, Tokens] = {}

    def tokens(self, cell: Cell) -> Tokens:
        """The data set in the word pieces of the cell's fit."""
        name = cell.fingerprints["tokens"]
        if name not in self._tokens:
            self._tokens[name] = cell.tokens()
        return self._tokens[name]
