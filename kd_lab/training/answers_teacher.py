"""A teacher that is a file: answers of a language model, of people, or of any model, joined to rows by their text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core.cache import Cache, file_hash
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import NonEmpty, PathName, ShareBetween
from kd_lab.data import tokenized
from kd_lab.data.dataset import UNLABELLED, Dataset
from kd_lab.data.npy_file import NpyFile
from kd_lab.training import answers_file
from kd_lab.training.answers_file import WHERE, Answers

_UNMEASURED = 0.9  # confidence in a label where nothing says how often it is right
_SUREST = 0.99
_PART = 2**14  # rows that are written at a time


@dataclass(frozen=True)
class AnswersTeacher:
    """What a file says of the data's texts, instead of a model.

    A row without an answer learns from its label alone; one with neither is left out, and counted.

    Args:
        path: CSV, TSV, JSON Lines or Parquet, also with .gz: a text in each row, and either a column for each class
            (probabilities or logits) or a label. Several rows of one text, or a list of labels, are votes.
        name: what results call it; None takes the file's name.
        text_column, pair_column: of the texts; they are joined by these.
        label_column: of a label.
        confidence_column: of how sure a label is, 0 to 1, where there is one.
        confidence: how sure a label is where no column says so; None takes how often it agrees with the gold labels of
            train, where both are known.
    """

    path: PathName
    name: NonEmpty | None = None
    text_column: NonEmpty = "text"
    pair_column: NonEmpty | None = None
    label_column: NonEmpty = "label"
    confidence_column: NonEmpty | None = "confidence"
    confidence: ShareBetween | None = None

    def __post_init__(self) -> None:
        if self.name is None:
            object.__setattr__(self, "name", Path(self.path).name.partition(".")[0] or "answers")

    def fingerprint_parts(self) -> dict[str, Any]:
        """The file by its content, and how it is read.

        Raises:
            UserError: there is no such file.
        """
        options = {key: value for key, value in vars(self).items() if key not in ("path", "name")}
        return {"file": file_hash(self._file()), **options}

    def logits_of(self, dataset: Dataset, split: str, cache: Cache) -> tuple[np.ndarray, dict[str, Any]]:
        """Its logits (N, C) for the rows of a split, NaN in rows of which it says nothing; and what it says in figures.

        Returns:
            also `rows`, `answered`, of labels `agreement` with gold and `confidence`, `unknown` (answers that name no
            class) and an example of these.

        Raises:
            UserError: the file cannot be read, or says nothing of train.
        """
        named = {"answers": self, "dataset": dataset, "code": code_hash("kd_lab.training.answers_teacher")}

        def make(draft: Path) -> None:
            texts = tokenized.read(dataset, draft)
            answers = answers_file.read(
                self._file(),
                texts.classes,
                self.text_column,
                self.pair_column,
                self.label_column,
                self.confidence_column,
            )
            rows = {name: answers_file.rows_of(answers.keys, one) for name, one in texts.splits.items()}
            if not (rows["train"] >= 0).any():
                got = f"{len(answers.keys):,} answers, none of them to a text of train"
                cure = "Ask for the very texts of the data set, or name their column by teacher.text_column=NAME."
                raise UserError(f"{WHERE} {self.path}", expected="answers to the data's texts", got=got, cure=cure)
            labels = {name: one.labels for name, one in texts.splits.items()}
            sure = self.confidence or _agreement(answers, rows["train"], labels["train"])[0]
            logits, about = _logits(answers, sure), {}
            for name, found in rows.items():
                with NpyFile(draft / f"{name}.npy", np.float32, answers.scores.shape[1:]) as file:
                    for at in range(0, len(found), _PART):
                        file.append(_of_rows(logits, found[at : at + _PART]))
                about[name] = {
                    "rows": len(found),
                    "answered": int((found >= 0).sum()),
                    "agreement": _agreement(answers, found, labels[name])[1],
                    "confidence": round(sure, 4) if answers.votes and answers.confidence is None else None,
                    "unknown": list(answers.unknown),
                }
            (draft / "about.json").write_text(json.dumps(about), encoding="utf-8")

        folder = cache.build("outputs", named, make)
        logits = np.load(folder / f"{split}.npy", mmap_mode="c", allow_pickle=False)
        return logits, json.loads((folder / "about.json").read_text(encoding="utf-8"))[split]

    def _file(self) -> Path:
        file = Path(self.path).expanduser()
        if not file.is_file():
            got = "a folder" if file.is_dir() else "no such file"
            cure = "Name a file of answers: CSV, TSV, JSON Lines or Parquet."
            raise UserError(f"{WHERE} {self.path}", expected="a file of answers", got=got, cure=cure)
        return file


def _agreement(answers: Answers, rows: np.ndarray, labels: np.ndarray) -> tuple[float, float | None]:
    """How often an answer is the gold label, drawn towards a half by one row of each kind; and as it is, if known."""
    both = (rows >= 0) & (labels != UNLABELLED)
    if not both.any():
        return _UNMEASURED, None
    right = int((answers.scores[rows[both]].argmax(axis=1) == labels[both]).sum())
    lowest = 1 / answers.scores.shape[1]
    return float(np.clip((right + 1) / (both.sum() + 2), lowest, _SUREST)), right / int(both.sum())


def _logits(answers: Answers, sure: float) -> np.ndarray:
    """(M, C) float32, a row an answer; a vote counts for its class as far as one is sure, the rest for the others."""
    scores = answers.scores
    if answers.votes:
        share = np.full(len(scores), sure) if answers.confidence is None else answers.confidence.astype(np.float64)
        lowest = 1 / scores.shape[1]
        share = share.clip(lowest, _SUREST)[:, None]
        odds = share * scores + (1 - share) * (1 - scores) / (scores.shape[1] - 1)
        scores = np.log(odds).astype(np.float32)
    return scores


def _of_rows(logits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(N, C) float32, those of the answers with these numbers; NaN where there is none."""
    found: np.ndarray = logits[rows.clip(min=0)]
    found[rows < 0] = np.nan
    return found


def told(name: str, split: str, about: Mapping[str, Any]) -> str:
    """What a user should hear of the answers to a split, in a line."""
    parts = [f"{about['answered']:,} of {about['rows']:,} rows of {split} answered"]
    if about["agreement"] is not None:
        parts.append(f"{100 * about['agreement']:.1f} % as the gold label")
    if about["confidence"] is not None:
        parts.append(f"a label counts for {100 * about['confidence']:.0f} %")
    if about["unknown"][0]:
        parts.append(f"{about['unknown'][0]:,} answers name no class, such as {about['unknown'][1]!r}")
    return f"teacher {name}: {', '.join(parts)}"
