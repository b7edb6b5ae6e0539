"""Files of text without labels, which only a teacher judges: a text a line, CSV, JSON Lines or Parquet."""

from __future__ import annotations

import glob
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.data.csv_file import encoding_of, header_of
from kd_lab.data.dataset import Split
from kd_lab.data.parquet_file import read_columns

ENDINGS = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")  # each but the last also with .gz behind it
OPTION = "dataset.transfer_path"


def files(path: str) -> list[Path]:
    """The files that a path or a pattern such as `texts/*.jsonl.gz` names, in order.

    Raises:
        UserError: there is none, or one is of a kind that cannot be read.
    """
    plain = Path(path).expanduser()
    found = [plain] if plain.is_file() else sorted(Path(one) for one in glob.glob(str(plain), recursive=True))
    found = [one for one in found if one.is_file()]
    if not found:
        got = "a folder" if plain.is_dir() else "no such file"
        cure = f"Name a file, or several as in {OPTION}='texts/*.txt'."
        raise UserError(f"{OPTION} {path}", expected="texts without labels", got=got, cure=cure)
    for one in found:
        if _ending(one) not in ENDINGS:
            expected = f"a file that ends in {', '.join(ENDINGS)}, or in one of these and .gz"
            raise UserError(f"{OPTION} {one}", expected=expected, got=f"{one.name!r}", cure="Convert or rename it.")
    return found


def fingerprint_parts(path: str | None) -> list[str] | None:
    """The files by their content; None where none are named."""
    return None if path is None else [file_hash(one) for one in files(path)]


def with_transfer(train: Split, path: str | None, text: str, pair: str | None, encoding: str = "utf-8") -> Split:
    """Train, and below it the texts that `path` names as rows without a label; each text once, empty ones left out.

    Args:
        text, pair: columns of files that have some, called as in the data set; a file of a text a line has no pairs.

    Raises:
        UserError: a file cannot be read, lacks a column, or holds something that is no text.
    """
    if path is None:
        return train
    rows: dict[tuple[str, ...], None] = {}
    for one in files(path):
        columns = _columns(one, [text, *([] if pair is None else [pair])], encoding)
        rows.update(dict.fromkeys(row for row in zip(*columns, strict=True) if all(map(str.strip, row))))
    if not rows:
        raise UserError(f"{OPTION} {path}", expected="texts", got="none", cure="Give a file that has some.")
    return train.with_unlabelled(list(rows))


def _ending(path: Path) -> str:
    name = path.name.lower()
    packed = name.endswith(".gz")
    ending = Path(name.removesuffix(".gz")).suffix
    return "" if packed and ending == ".parquet" else ending


def _columns(path: Path, wanted: Sequence[str], encoding: str) -> list[list[str]]:
    where, ending = f"{OPTION} {path}", _ending(path)
    with reading(where, expected=f"texts in {encoding}, as {ending}", cure="Mend the file, or leave it out."):
        if ending == ".txt":
            found: dict[str, Any] = {wanted[0]: _lines(path, encoding)}
        elif ending == ".parquet":
            found = read_columns(path, wanted).to_pydict()
        else:
            found = _table(path, ending, encoding, wanted)
    columns = []
    for column in wanted:
        if column not in found:
            got = ", ".join(map(repr, found)) or "none"
            cure = "Name its columns as those of the data set are, see dataset.text_column."
            raise UserError(where, expected=f"a column {column!r}", got=got[:500], cure=cure)
        strange = next((one for one in found[column] if one is not None and not isinstance(one, str)), None)
        if strange is not None:
            got = f"{type(strange).__name__} {strange!r}"[:200]
            raise UserError(f"{where}, column {column!r}", expected="texts", got=got, cure="Name another column.")
        columns.append([one or "" for one in found[column]])
    return columns


def _lines(path: Path, encoding: str) -> list[str]:
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        return file.read().decode("utf-8-sig" if encoding == "utf-8" else encoding).splitlines()


def _table(path: Path, ending: str, encoding: str, wanted: Sequence[str]) -> dict[str, Any]:
    import pandas as pd

    if ending == ".jsonl":
        table = pd.read_json(path, lines=True, dtype=False, convert_dates=False, encoding=encoding)
        table = table.astype(object).where(table.notna(), None)
    else:
        told = encoding_of(path, encoding)
        delimiter = "\t" if ending == ".tsv" else header_of(path, told, wanted)[1]
        table = pd.read_csv(path, encoding=told, sep=delimiter, dtype=str, keep_default_na=False)
    return {str(name): table[name].tolist() for name in table.columns}
