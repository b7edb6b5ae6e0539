"""The columns of a Parquet or Arrow file, read in no more memory than there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

PIECE = 4096  # rows that are read at a time
_BUFFER = 2**20  # bytes of a column that are read ahead


def read_columns(path: Path, wanted: Iterable[str]) -> pa.Table:
    """Those columns that are there, a piece at a time: a few bytes of a file may stand for more than the memory has.

    Where one is not there, or twice, none is read, and the table has the names alone.

    Raises:
        ValueError: they would take more than a quarter of the memory that is free; pyarrow raises others of a file that
            is no Parquet.
    """
    import pyarrow.parquet

    wanted = list(wanted)
    with pyarrow.parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        if any(schema.names.count(name) != 1 for name in wanted):
            return schema.empty_table()
        return _joined(file.iter_batches(PIECE, columns=wanted, use_threads=False), schema, wanted)


def column_pieces(path: Path, wanted: Iterable[str]) -> Iterator[pa.RecordBatch]:
    """Those columns of a Parquet file a piece at a time, however many rows it has; first a piece without rows.

    Where one is not there, or twice, that one alone comes, and has the names of all columns.
    """
    import pyarrow as pa
    import pyarrow.parquet

    wanted = list(wanted)
    with pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER) as file:
        schema = file.schema_arrow
        yield pa.RecordBatch.from_arrays([pa.array([], one.type) for one in schema], schema=schema)
        if all(schema.names.count(name) == 1 for name in wanted):
            yield from file.iter_batches(PIECE, columns=wanted, use_threads=False)


def read_arrow_columns(path: Path, wanted: Iterable[str]) -> pa.Table:
    """The same of an Arrow file, also known as Feather, or of a stream of Arrow as the library datasets keeps them.

    Raises:
        ValueError: as in `read_columns`.
    """
    import pyarrow as pa
    import pyarrow.ipc

    wanted = list(wanted)
    with pa.OSFile(str(path)) as source:
        try:
            file = pyarrow.ipc.open_file(source)
            batches: Iterator[pa.RecordBatch] = (file.get_batch(place) for place in range(file.num_record_batches))
        except pa.ArrowInvalid:
            source.seek(0)
            file = pyarrow.ipc.open_stream(source)
            batches = iter(file)
        schema = file.schema
        if any(schema.names.count(name) != 1 for name in wanted):
            return schema.empty_table()
        return _joined(map(_sound, (batch.select(wanted) for batch in batches)), schema, wanted)


def _sound(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch, once no offset in it leads out of it: a file that is damaged would end the process."""
    batch.validate(full=True)
    return batch


def _joined(batches: Iterable[pa.RecordBatch], schema: pa.Schema, wanted: list[str]) -> pa.Table:
    import psutil
    import pyarrow as pa

    most, pieces, size = psutil.virtual_memory().available // 4, [], 0
    for piece in batches:
        size += piece.nbytes
        if size > most:
            raise ValueError(f"texts of more than {most / 2**30:.0f} GiB, a quarter of the memory that is free")
        pieces.append(piece)
    return pa.Table.from_batches(pieces, pa.schema([schema.field(name) for name in wanted], schema.metadata))
