"""Files of text without labels, which only a teacher judges: a text a line, CSV, JSON Lines or Parquet."""

from __future__ import annotations

import glob
from itertools import compress
from pathlib import Path

import numpy as np

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.data.dataset import Split
from kd_lab.data.seen_hashes import SeenHashes
from kd_lab.data.stored_texts import TextStore
from kd_lab.data.text_hashes import text_hashes
from kd_lab.data.transfer_rows import columns_in_chunks

ENDINGS = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")  # each but the last also with .gz behind it
OPTION = "dataset.transfer_path"
_NO_LABELS = np.empty(0, np.int64)


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

    They are read some at a time and lie on disk, see `stored_texts`, train's own with them: memory holds some 20 bytes
    of a row.

    Args:
        text, pair: columns of files that have some, called as in the data set; a file of a text a line has no pairs.

    Raises:
        UserError: a file cannot be read, lacks a column, or holds something that is no text.
    """
    if path is None:
        return train
    wanted = [text, *([] if pair is None else [pair])]
    stores = [TextStore() for _ in wanted]
    for store, own in zip(stores, (train.texts, train.pairs), strict=False):
        store.extend(own or ())
    seen, number = SeenHashes(), 0
    for one in files(path):
        for columns in columns_in_chunks(one, _ending(one), wanted, encoding, f"{OPTION} {one}"):
            new = seen.new(text_hashes(Split(columns[0], _NO_LABELS, *columns[1:])))
            new &= np.array([all(map(str.strip, row)) for row in zip(*columns, strict=True)], bool)
            for store, column in zip(stores, columns, strict=True):
                store.extend(compress(column, new))
            number += int(new.sum())
    if not number:
        raise UserError(f"{OPTION} {path}", expected="texts", got="none", cure="Give a file that has some.")
    return train.with_texts(stores[0].texts(), None if train.pairs is None else stores[1].texts())


def _ending(path: Path) -> str:
    name = path.name.lower()
    packed = name.endswith(".gz")
    ending = Path(name.removesuffix(".gz")).suffix
    return "" if packed and ending == ".parquet" else ending
