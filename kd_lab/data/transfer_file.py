"""Files of text without labels, which only a teacher judges: a text a line, CSV, JSON Lines or Parquet."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core.cache import file_hash
from kd_lab.core.errors import UserError
from kd_lab.data import sentences as cut
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
        if ending(one) not in ENDINGS:
            expected = f"a file that ends in {', '.join(ENDINGS)}, or in one of these and .gz"
            raise UserError(f"{OPTION} {one}", expected=expected, got=f"{one.name!r}", cure="Convert or rename it.")
    return found


def options(dataset: Any) -> dict[str, Any]:
    """What else a data set says of such texts, as `with_transfer` takes it: what is given and has an effect."""
    given = {name: getattr(dataset, f"transfer_{name}") for name in ("column", "sentences", "limit")}
    given |= {"seed": None if given["limit"] is None else dataset.split.seed}
    return {name: value for name, value in given.items() if value is not None}


def identity(found: Iterable[Path]) -> list[list[str]]:
    """What files are: their content, and their ending, by which they are read."""
    return [[file_hash(one), ending(one)] for one in found]


def with_transfer(
    train: Split,
    path: str,
    text: str,
    pair: str | None,
    encoding: str = "utf-8",
    *,
    judged: Iterable[Split] = (),
    column: str | None = None,
    sentences: tuple[int, int] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> Split:
    """Train, and below it the texts that `path` names as rows without a label; each text once, empty ones left out.

    They are read some at a time and lie on disk, see `stored_texts`, train's own with them: memory holds some 20 bytes
    of a row.

    Args:
        text, pair: columns of files that have some, called as in the data set; a file of a text a line has no pairs.
        judged: validation and test, whose sentences are left out where texts are cut into some. Whole texts are left
            to `without_judged`.
        column: of the text, where it is called otherwise than in the data set.
        sentences: each text is cut into its sentences of so many words, see `kd_lab.data.sentences`; None leaves it.
        limit: of more than so many some are drawn by chance; of a higher limit all that a lower one has.
        seed: which.

    Raises:
        UserError: a file cannot be read, lacks a column, or holds something that is no text; sentences of pairs.
    """
    if sentences is not None and pair is not None:
        cure = "Leave it out."
        raise UserError("dataset.transfer_sentences", expected="single texts", got="pairs of texts", cure=cure)
    if sentences is not None and sentences[0] > sentences[1]:
        cure = f"Use [{sentences[1]},{sentences[0]}]."
        raise UserError("dataset.transfer_sentences", expected="[FROM,TO] words", got=str(list(sentences)), cure=cure)
    wanted = [column or text, *([] if pair is None else [pair])]
    stores = [TextStore() for _ in wanted]
    for store, own in zip(stores, (train.texts, train.pairs), strict=False):
        store.extend(own or ())
    seen, number = SeenHashes(), 0
    if sentences is not None:
        for split in judged:
            seen.new(text_hashes(Split(_cut(split.texts, *sentences), _NO_LABELS)))
    for one in files(path):
        for found in columns_in_chunks(one, ending(one), wanted, encoding, f"{OPTION} {one}"):
            columns = found if sentences is None else [_cut(found[0], *sentences)]
            new = seen.new(text_hashes(Split(columns[0], _NO_LABELS, *columns[1:])))
            new &= np.array([all(map(str.strip, row)) for row in zip(*columns, strict=True)], bool)
            for store, texts in zip(stores, columns, strict=True):
                store.extend(compress(texts, new))
            number += int(new.sum())
    if not number:
        raise UserError(f"{OPTION} {path}", expected="texts", got="none", cure="Give a file that has some.")
    taken = [store.texts() for store in stores]
    if limit is not None and limit < number:
        labelled = len(train.texts)
        drawn = np.sort(np.random.default_rng(seed).permutation(number)[:limit])
        taken = [one.take(np.concatenate([np.arange(labelled), labelled + drawn])) for one in taken]
    return train.with_texts(taken[0], None if train.pairs is None else taken[1])


def _cut(texts: Iterable[str], least: int, most: int) -> list[str]:
    return list(chain.from_iterable(cut.sentences(text, least, most) for text in texts))


def ending(path: Path) -> str:
    """How the name ends, in small letters, without the .gz of a file that is packed; "" of Parquet with it."""
    name = path.name.lower()
    packed = name.endswith(".gz")
    found = Path(name.removesuffix(".gz")).suffix
    return "" if packed and found == ".parquet" else found
