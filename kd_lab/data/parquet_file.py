"""The columns of a Parquet file, read in no more memory than there is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_PIECE = 4096  # rows that are read at a time


def read_columns(path: Path, wanted: Iterable[str]) -> pa.Table:
    """Those columns that are there, a piece at a time: a few bytes of a file may stand for more than the memory has.

    Where one is not there, or twice, none is read, and the table has the names alone.

    Raises:
        ValueError: they would take more than a quarter of the memory that is free; pyarrow raises others of a file that
            is no Parquet.
    """
    import psutil
    import pyarrow as pa
    import pyarrow.parquet

    most, pieces, size = psutil.virtual_memory().available // 4, [], 0
    with pa.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        if any(schema.names.count(name) != 1 for name in wanted):
            return schema.empty_table()
        for piece in file.iter_batches(_PIECE, columns=list(wanted), use_threads=False):
            size += piece.nbytes
            if size > most:
                raise ValueError(f"texts of more than {most / 2**30:.0f} GiB, a quarter of the memory that is free")
            pieces.append(piece)
        return pa.Table.from_batches(pieces, pa.schema([schema.field(name) for name in wanted], schema.metadata))
