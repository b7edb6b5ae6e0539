"""A saved model's answers to raw text; one in ONNX answers without torch, which takes a second to import."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from kd_lab.core.errors import UserError
from kd_lab.core.nested import is_number
from kd_lab.core.reading import in_one_line, reading
from kd_lab.data.dataset import MULTI_LABEL
from kd_lab.data.tokenizer_file import TOKENIZER, read_tokenizer
from kd_lab.models import saved_model
from kd_lab.models.saved_model import AGAIN
from kd_lab.serving.asked import check_threshold, in_rows
from kd_lab.serving.backend import Integers, read
from kd_lab.serving.label_decisions import THRESHOLDS, Said, one_label, several_labels


class TextClassifier:
    """A classifier together with its tokenizer, read from one folder.

    Args:
        folder: what a run saved: `classifier.json`, the weights, and `tokenizer.json`.
        threads: that compute an answer, for a torch model those of the whole process; None leaves it to the library.

    Raises:
        UserError: the folder is not one that kd_lab saved, a file of it is missing or damaged, or its labels, its
            tokenizer and its weights do not belong together.

    Attributes:
        multi_label: whether a text may bear several of its labels.
        thresholds: (C,) of each label then, as tuned on validation; None where none were.
        pairs: whether it was fitted on pairs of texts; None where an earlier kd_lab saved it, whose card does not say:
            such a model answers texts and pairs alike.
        cut: texts so far that were longer than the model's `max_tokens`.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise UserError("threads", expected="at least 1", got=str(threads), cure="Give a larger number.")
        card = saved_model.read_card(folder)
        try:
            self.labels = tuple(str(label) for label in card["labels"])
            self.max_tokens, self.pad_id = int(card["max_tokens"]), int(card["pad_id"])
            if not (isinstance(card["labels"], list) and 0 < self.max_tokens < 2**31 and 0 <= self.pad_id < 2**31):
                raise ValueError("not one that kd_lab wrote")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                str(folder / saved_model.CARD),
                expected="labels, max_tokens and pad_id",
                got=json.dumps({key: value for key, value in card.items() if key != "format"})[:300],
                cure="Name the model folder of a finished run.",
            ) from error
        self._folder = folder
        self.multi_label, self.thresholds = card.get("task") == MULTI_LABEL, _thresholds(folder, card)
        self.pairs = _pairs(folder, card)
        self.cut = 0  # texts so far that were longer than max_tokens
        self._pieces = _read_tokenizer(folder / TOKENIZER, self.max_tokens)
        self._logits = read(folder, threads)
        self._check_whole(folder)

    def predict(
        self,
        texts: Sequence[str],
        seconds: Sequence[str] | None = None,
        batch_size: int = 32,
        abstain: float | None = None,
    ) -> tuple[list[Any], NDArray[np.float64]]:
        """The most probable label of each text, and the probabilities of all.

        Args:
            texts: what to classify; longer ones are cut to the model's `max_tokens`, and counted in `cut`.
            seconds: for a model of text pairs, the other text of each.
            batch_size: texts in a forward pass; those of like length go together.
            abstain: a probability; where what is said has not at least that, it is None. Without it each text has one.

        Returns:
            (N) labels, a list of them for each text where it may bear several, and (N, C) probabilities, columns in the
            order of `labels`, both in the order of `texts`.

        Raises:
            UserError: a text is empty or no text, the two sides differ in number, a model of pairs is given texts
                alone or the reverse, or `abstain` is no probability above 0.
        """
        if abstain is not None:
            check_threshold(abstain)
        said = self.say(texts, seconds, batch_size)
        if abstain is None:
            return said.labels, said.probabilities
        sure = said.confidence >= abstain
        return [label if kept else None for label, kept in zip(said.labels, sure, strict=True)], said.probabilities

    def say(self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 32) -> Said:
        """The same, and how sure it is. Takes and raises the same."""
        logits = self.logits(texts, seconds, batch_size)
        if self.multi_label:
            return several_labels(logits, self.labels, self.thresholds)
        return one_label(logits, self.labels)

    def logits(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 32
    ) -> NDArray[np.float32]:
        """What `predict` makes probabilities of: (N, C), unnormalised. Takes and raises the same."""
        if batch_size < 1:
            raise UserError("batch_size", expected="at least 1", got=str(batch_size), cure="Give a larger number.")
        self.need(pairs=seconds is not None)
        asked = in_rows(texts, seconds)
        with reading(self._folder / TOKENIZER, expected="a tokenizer that takes any text", cure=AGAIN):
            encoded = self._pieces.encode_batch_fast(asked)
        self.cut += sum(1 for row in encoded if row.overflowing)
        logits = np.empty((len(encoded), len(self.labels)), np.float32)
        order = np.argsort([len(row) for row in encoded], kind="stable")
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            with reading(self._folder, expected="a model that takes its tokenizer's pieces", cure=AGAIN):
                logits[rows] = self._logits(*self._padded([encoded[row] for row in rows], pairs=seconds is not None))
        return logits

    def need(self, *, pairs: bool) -> None:
        """Refuses pairs where the model was fitted on single texts, and the reverse: its answers would mean nothing.

        Raises:
            UserError: it was fitted on the other.
        """
        if self.pairs and not pairs:
            raise UserError(
                str(self._folder),
                expected="pairs of texts, on which this model was fitted",
                got="texts alone",
                cure="Give the other text of each: kd-lab predict --csv FILE --pair-column NAME, a column text_pair "
                "where it is served, or predict(texts, seconds).",
            )
        if pairs and self.pairs is False:
            raise UserError(
                str(self._folder),
                expected="single texts, on which this model was fitted",
                got="pairs of texts",
                cure="Leave the other texts out: kd-lab predict without --pair-column, no column text_pair where it is "
                "served, or predict(texts).",
            )

    def _padded(self, encoded: list[tokenizers.Encoding], pairs: bool) -> tuple[Integers, Integers, Integers | None]:
        """Pieces, mask and, of pairs, segments: (B, T) each."""
        shape = (len(encoded), max(len(row) for row in encoded))
        pieces, mask, segments = np.full(shape, self.pad_id), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for place, row in enumerate(encoded):
            pieces[place, : len(row)], mask[place, : len(row)] = row.ids, 1
            segments[place, : len(row)] = row.type_ids
        return pieces, mask, segments if pairs else None

    def _check_whole(self, folder: Path) -> None:
        """Refuses labels, tokenizer and weights that do not belong together, before they answer nonsense."""
        last = np.array([[self._pieces.get_vocab_size() - 1]])  # unknown to a model with fewer word pieces
        try:
            width = self._logits(last, np.ones_like(last), None).shape[1]
        except Exception as error:  # torch and ONNX Runtime have each their own
            got = f"one whose last piece, {last[0, 0]}, the model does not take ({in_one_line(error)})"
            where = str(folder / TOKENIZER)
            raise UserError(where, expected="the tokenizer of the model", got=got, cure=AGAIN) from error
        if width != len(self.labels):
            raise UserError(
                str(folder / saved_model.CARD),
                expected=f"{width} labels, as the model has outputs",
                got=str(len(self.labels)),
                cure=AGAIN,
            )
        told = _told_labels(folder / "config.json")
        if told is not None and told != dict(enumerate(self.labels)):
            wrong = next((at for at, label in enumerate(self.labels) if told.get(at) != label), len(self.labels))
            label = repr(self.labels[wrong]) if wrong < len(self.labels) else "no such class"
            raise UserError(
                f"{folder / 'config.json'}, id2label",
                expected=f"the labels of {saved_model.CARD}, {label} as class {wrong}",
                got=repr(told.get(wrong)),
                cure=AGAIN,
            )


def _read_tokenizer(path: Path, max_tokens: int) -> tokenizers.Tokenizer:
    cure = "Name the model folder of a finished run, or copy the tokenizer.json it was fitted with into it."
    pieces = read_tokenizer(path, expected="the tokenizer of the model", cure=cure)
    with reading(path, expected=f"a tokenizer that leaves room in max_tokens={max_tokens}", cure=cure):
        pieces.enable_truncation(max_tokens)
    return pieces


def _pairs(folder: Path, card: dict[str, Any]) -> bool | None:
    """Whether the model was fitted on pairs; None where the card does not say, as earlier ones do not."""
    found = card.get("pairs")
    if found is None or isinstance(found, bool):
        return found
    raise UserError(str(folder / saved_model.CARD), expected="pairs: true or false", got=repr(found), cure=AGAIN)


def _thresholds(folder: Path, card: dict[str, Any]) -> NDArray[np.float64] | None:
    """Of each label, where a text may bear several; None where the card has none."""
    found = card.get(THRESHOLDS)
    if found is None:
        return None
    if isinstance(found, list) and len(found) == len(card["labels"]) and all(map(is_number, found)):
        return np.array(found, np.float64)
    where, expected = str(folder / saved_model.CARD), "thresholds: a probability for each label"
    raise UserError(where, expected=expected, got=repr(found)[:100], cure=AGAIN)


def _told_labels(config: Path) -> dict[int, str] | None:
    """Class -> label where a config.json says so."""
    try:
        told = json.loads(config.read_text(encoding="utf-8"))["id2label"]
        return {int(index): str(label) for index, label in told.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
