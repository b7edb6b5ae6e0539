"""`predictions.npz`, one a cell: what a model said about each row of test, and which rows these are."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np

from kd_lab.core.results import RunResult
from kd_lab.data.tokenized import Tokens

FILE = "predictions.npz"
TEST = "test"  # entry of a result's fingerprint: texts and labels of its test rows, in order


def save_predictions(
    folder: Path, result: RunResult, tokens: Tokens, labels: np.ndarray, predictions: np.ndarray, confidence: np.ndarray
) -> None:
    """Writes what was said about test, and names the test rows in the result.

    Args:
        folder: the cell's own.
        result: gets the rows' name in its fingerprint.
        tokens: whose test split was judged.
        labels, predictions: (N,) int64, classes.
        confidence: (N,) float32, the probability of the class that was said.
    """
    texts = tokens.test_texts()  # (N,) uint64
    np.savez_compressed(
        folder / FILE, labels=labels, predictions=predictions, confidence=confidence, texts=texts.astype(np.uint64)
    )
    name = blake2b(texts.astype("<u8").tobytes() + labels.astype("<i8").tobytes(), digest_size=8).hexdigest()
    result.fingerprint = {**result.fingerprint, TEST: name}
