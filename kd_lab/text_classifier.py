"""A saved model's answers to raw text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray

from kd_lab import classifier
from kd_lab.errors import UserError
from kd_lab.types import Batch

TOKENIZER = "tokenizer.json"


class TextClassifier:
    """A classifier together with its tokenizer, read from one folder.

    Args:
        folder: what a run saved: `classifier.json`, the weights, and `tokenizer.json`.

    Raises:
        UserError: the folder is not one that kd_lab saved, or its tokenizer is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        card = classifier.read_card(folder)
        try:
            self.labels = tuple(str(label) for label in card["labels"])
            self.max_tokens, self.pad_id = int(card["max_tokens"]), int(card["pad_id"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                str(folder / classifier.CARD),
                expected="labels, max_tokens and pad_id",
                got=json.dumps({key: value for key, value in card.items() if key != "class"}),
                cure="Name the model folder of a finished run.",
            ) from error
        self._pieces = _read_tokenizer(folder / TOKENIZER, self.max_tokens)
        self._model = classifier.load(folder)

    def predict(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 32
    ) -> tuple[list[str], NDArray[np.float64]]:
        """The most probable label of each text, and the probabilities of all.

        Args:
            texts: what to classify; longer ones are cut to the model's `max_tokens`.
            seconds: for a model of text pairs, the other text of each.
            batch_size: texts in a forward pass; those of like length go together.

        Returns:
            (N) labels, and (N, C) probabilities, columns in the order of `labels`, both in the order of `texts`.

        Raises:
            UserError: a text is empty or no text, or the two sides differ in number.
        """
        if batch_size < 1:
            raise UserError("batch_size", expected="at least 1", got=str(batch_size), cure="Give a larger number.")
        encoded = self._pieces.encode_batch(_checked(texts, seconds))
        probabilities = np.empty((len(encoded), len(self.labels)))
        order = np.argsort([len(row) for row in encoded], kind="stable")
        with torch.inference_mode():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch = self._batch(rows, [encoded[row] for row in rows], pairs=seconds is not None)
                probabilities[rows] = self._model(batch).logits.double().softmax(dim=-1).cpu().numpy()
        return [self.labels[best] for best in probabilities.argmax(axis=1)], probabilities

    def _batch(self, rows: NDArray[np.int64], encoded: list[tokenizers.Encoding], pairs: bool) -> Batch:
        shape = (len(encoded), max(len(row) for row in encoded))
        pieces, mask, segments = np.full(shape, self.pad_id), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for place, row in enumerate(encoded):
            pieces[place, : len(row)], mask[place, : len(row)] = row.ids, 1
            segments[place, : len(row)] = row.type_ids
        return Batch(
            row_ids=torch.from_numpy(rows),
            input_ids=torch.from_numpy(pieces),
            attention_mask=torch.from_numpy(mask),
            labels=torch.full((len(encoded),), -1),
            token_type_ids=torch.from_numpy(segments) if pairs else None,
        )


def _read_tokenizer(path: Path, max_tokens: int) -> tokenizers.Tokenizer:
    try:
        pieces = tokenizers.Tokenizer.from_file(str(path))
        pieces.no_padding()
        pieces.enable_truncation(max_tokens)
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise UserError(
            str(path),
            expected="the tokenizer of the model",
            got=str(error) if path.is_file() else "no such file",
            cure="Name the model folder of a finished run, or copy the tokenizer.json it was fitted with into it.",
        ) from error
    return pieces


def _checked(texts: Sequence[str], seconds: Sequence[str] | None) -> list[Any]:
    """What the tokenizer takes: texts, or pairs of texts."""
    for side, column in (("texts", texts), ("seconds", seconds)):
        if isinstance(column, str):
            raise UserError(side, expected="a list of texts", got="one text", cure="Put it in a list.")
        for row, text in enumerate(column if column is not None else ()):
            if not isinstance(text, str) or not text.strip():
                got = "an empty text" if isinstance(text, str) else f"{type(text).__name__} {text!r}"
                raise UserError(f"{side}[{row}]", expected="a text", got=got, cure="Leave the row out or fill it.")
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise UserError(
                    f"{side}[{row}]",
                    expected="valid Unicode",
                    got="half of a surrogate pair",
                    cure="Read the file with its right encoding.",
                )
    if seconds is None:
        return list(texts)
    if len(seconds) != len(texts):
        raise UserError(
            "seconds", expected=f"{len(texts)} texts, one for each", got=str(len(seconds)), cure="Give one for each."
        )
    return list(zip(texts, seconds, strict=True))
