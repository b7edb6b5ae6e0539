"""`predictions.npz`, one a cell: what a model said about each row of test and validation, and which rows of test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kd_lab.core.reading import reading
from kd_lab.core.results import RunResult
from kd_lab.evaluation.selective import Judged, LabelSets

if TYPE_CHECKING:
    from kd_lab.data.tokenized import Tokens

FILE = "predictions.npz"
TEST = "test"  # entry of a result's fingerprint: texts and labels of its test rows, in order
_VALIDATION, _SETS = "validation_", "sets_"  # before the names of their arrays


def save_predictions(
    folder: Path,
    result: RunResult,
    tokens: Tokens,
    test: Judged,
    validation: Judged | None = None,
    sets: LabelSets | None = None,
) -> None:
    """Writes what was said about test and validation, and names the test rows in the result.

    Args:
        folder: the cell's own.
        result: gets the rows' name in its fingerprint.
        tokens: whose splits were judged.
        test, validation: what was said, kept as int64 and, the confidence, as float32.
        sets: the labels of test's rows, where a row may bear several; kept as `sets_gold` and `sets_said`.
    """
    texts = tokens.test_texts()  # (N,) uint64
    kept: dict[str, Any] = {}  # name -> array
    for before, said in (("", test), *([(_VALIDATION, validation)] if validation else [])):
        arrays = {**said._asdict(), "confidence": said.confidence.astype(np.float32)}
        kept |= {f"{before}{name}": array for name, array in arrays.items()}
    kept |= {f"{_SETS}{name}": bits for name, bits in (sets._asdict() if sets else {}).items()}
    np.savez_compressed(folder / FILE, **kept, texts=texts.astype(np.uint64))
    name = blake2b(texts.astype("<u8").tobytes() + test.labels.astype("<i8").tobytes(), digest_size=8).hexdigest()
    result.fingerprint = {**result.fingerprint, TEST: name}


def read_sets(cell: Path) -> LabelSets | None:
    """The labels of test's rows, where a row may bear several; None where it bears one.

    Raises:
        UserError: the file is damaged.
    """
    with _stored(cell, _SETS, LabelSets._fields) as arrays:
        found = None if arrays is None else LabelSets(*arrays)
        if found and (found.gold.ndim != 2 or found.gold.shape != found.said.shape or found.gold.dtype != bool):
            raise ValueError(f"labels of {found.gold.shape} for {found.said.shape}")
    return found


def read_validation(cell: Path) -> Judged | None:
    """What was said about validation; None where a cell kept nothing of it, as earlier ones did.

    Raises:
        UserError: the file is damaged.
    """
    with _stored(cell, _VALIDATION, Judged._fields) as arrays:
        found = None if arrays is None else Judged(*arrays)
        if found and (len({one.shape for one in found}) > 1 or found.labels.ndim != 1 or not found.labels.size):
            raise ValueError(f"{found.labels.shape} labels for {found.predictions.shape} predictions")
    return found


@contextmanager
def _stored(cell: Path, prefix: str, names: Sequence[str]) -> Iterator[list[NDArray[Any]] | None]:
    """The arrays of these names that a cell kept, None where it kept none; what is wrong with them is the file's."""
    path = cell / FILE
    with reading(path, expected="a cell's predictions", cure="Type the line that made the cell again."):
        if not path.is_file():
            yield None
            return
        with np.load(path, allow_pickle=False) as stored:
            there = f"{prefix}{names[0]}" in stored
            yield [stored[f"{prefix}{name}"] for name in names] if there else None
