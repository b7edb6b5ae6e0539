"""The table that a file of answers is: CSV, TSV, JSON Lines or Parquet, packed or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.csv_file import encoding_of, header_of, opened
from kd_lab.data.row_file import json_lines

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")  # each but the last also with .gz behind it
WHERE = "teacher.path"


def read_table(path: Path, wanted: Sequence[str]) -> pd.DataFrame:
    """The rows of a file of answers, words as words; numbers of JSON Lines and Parquet as they are.

    Args:
        wanted: columns by which the delimiter of a CSV is known.

    Raises:
        UserError: there is no such file, of no kind that is read, or damaged.
    """
    import pandas as pd

    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in ENDINGS:
        expected = f"a file that ends in {', '.join(ENDINGS)}, or in one of these and .gz"
        raise UserError(f"{WHERE} {path}", expected=expected, got=f"{path.name!r}", cure="Convert or rename it.")
    with reading(f"{WHERE} {path}", expected=f"a table, as {ending}", cure="Mend the file, or name another."):
        if ending == ".parquet":
            return pd.read_parquet(path)
        if ending == ".jsonl":
            return pd.DataFrame(_json_columns(path), dtype=object)  # a large id stays the whole number that it is
        told = encoding_of(path, "utf-8")
        delimiter = header_of(path, told, wanted)[1]
        with opened(path) as file:
            return pd.read_csv(file, sep=delimiter, encoding=told, dtype=str, keep_default_na=False)


def _json_columns(path: Path) -> dict[str, list[Any]]:
    """Column -> its values, None where a row has none; a line at a time, as a million rows of texts are many."""
    columns: dict[str, list[Any]] = {}
    for rows, row in enumerate(json_lines(path, encoding_of(path, "utf-8"))):
        for name in [name for name in row if name not in columns]:
            columns[name] = [None] * rows
        for name, values in columns.items():
            values.append(row.get(name))
    return columns
