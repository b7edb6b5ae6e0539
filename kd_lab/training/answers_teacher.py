"""A teacher that is a file: answers of a language model, of people, or of any model, joined to rows by text or id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_lab.core.cache import Cache, file_hash
from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import NonEmpty, PathName, ShareBetween, SplitName
from kd_lab.data import tokenized
from kd_lab.data.dataset import Dataset, Split
from kd_lab.data.label_sets import gold
from kd_lab.data.npy_file import NpyFile
from kd_lab.data.row_ids import refuse_repeated
from kd_lab.training import answers_file
from kd_lab.training.answer_keys import other_texts, rows_of, unknown_ids
from kd_lab.training.answer_logits import agreement_of, of_rows, vote_logits
from kd_lab.training.answers_file import Answers
from kd_lab.training.answers_table import WHERE

_PART = 2**14  # rows that are written at a time


@dataclass(frozen=True)
class AnswersTeacher:
    """What a file says of the data's texts, instead of a model.

    A row without an answer learns from its label alone; one with neither is left out, and counted.

    Args:
        path: CSV, TSV, JSON Lines or Parquet, also with .gz: a text or an id in each row, and either a column for each
            class (probabilities or logits) or a label. Several rows of one text or id, or a list of labels, are votes;
            where a row may bear several labels, a list is what one row says of it.
        name: what results call it; None takes the file's name.
        text_column, pair_column: of the texts; they are joined by these where there are no ids. Beside ids the texts,
            where there are some, must be those of the data; None looks at none.
        label_column: of a label.
        confidence_column: of how sure a label is, 0 to 1, where there is one.
        confidence: how sure a label is where no column says so; None takes how often it agrees with the gold labels of
            train, where both are known.
        id_column: of ids to join by; the data set's own is called alike, or named by `dataset.id_column`, which names
            this one too where it is None. With neither, answers are joined by their text.
        split: the only split whose rows it answers, for ids that begin anew in each; what is carved out of train is
            train's. None answers all.
    """

    path: PathName
    name: NonEmpty | None = None
    text_column: NonEmpty | None = "text"
    pair_column: NonEmpty | None = None
    label_column: NonEmpty = "label"
    confidence_column: NonEmpty | None = "confidence"
    confidence: ShareBetween | None = None
    id_column: NonEmpty | None = None
    split: SplitName | None = None

    def __post_init__(self) -> None:
        if self.name is None:
            object.__setattr__(self, "name", Path(self.path).name.partition(".")[0] or "answers")

    def fingerprint_parts(self) -> dict[str, Any]:
        """The file by its content, and how it is read.

        Raises:
            UserError: there is no such file.
        """
        later = ("id_column", "split")  # not given, they rename nothing
        options = {key: value for key, value in vars(self).items() if key not in ("path", "name", *later)}
        options |= {key: getattr(self, key) for key in later if getattr(self, key) is not None}
        return {"file": file_hash(self._file()), **options}

    def fit_parts(self, dataset: Dataset) -> dict[str, Any]:
        """All that its answers to the rows of a data set depend on beside the data set."""
        ids = self.id_columns(dataset)
        code = code_hash("kd_lab.training.answers_teacher")
        return {"answers": self, "code": code, **({} if ids is None else {"ids": ids[1]})}

    def id_columns(self, dataset: Dataset) -> tuple[str, str] | None:
        """The columns of ids that answers are joined by, in the file and in the data; None where by texts.

        Raises:
            UserError: there is neither an id nor a text, or the data set is of a kind that has no ids.
        """
        own = getattr(dataset, "id_column", None)
        if self.id_column is None and own is None:
            if self.text_column is None:
                cure = "Name a column by teacher.text_column=NAME, or one of ids by teacher.id_column=NAME."
                raise UserError("teacher.text_column", expected="texts to join answers by", got="null", cure=cure)
            return None
        if not hasattr(dataset, "id_column"):
            expected = "a data set that has a column of ids"
            cure = "Leave it out: answers are joined by their text."
            raise UserError("teacher.id_column", expected=expected, got=dataset.name, cure=cure)
        theirs, ours = self.id_column or own, own or self.id_column
        assert theirs is not None
        assert ours is not None
        return theirs, ours

    def logits_of(self, dataset: Dataset, split: str, cache: Cache) -> tuple[np.ndarray, dict[str, Any]]:
        """Its logits (N, C) for the rows of a split, NaN in rows of which it says nothing; and what it says in figures.

        Returns:
            also `rows`, `answered`, `labels_alone` (whether nothing is said of each class), of labels `agreement` with
            gold and `confidence`, `unknown` (answers that name no class) and an example of these; joined by ids
            `unknown_ids` (that no row has) and `other_texts` (beside which the file has another text), each with the
            number and an example.

        Raises:
            UserError: the file cannot be read, or says nothing of train; two rows of the data have one id; or most
                texts beside ids are others than the data's.
        """
        ids = self.id_columns(dataset)

        def make(draft: Path) -> None:
            given: Any = dataset
            texts = tokenized.read(dataset if ids is None else replace(given, id_column=ids[1]), draft)
            splits = texts.splits
            if self.split is not None:
                asked = {self.split, *(texts.carved if self.split == "train" else ())}
                splits = {name: one for name, one in splits.items() if name in asked}
            if ids is not None:
                refuse_repeated(splits, f"dataset {dataset.name}, column {ids[1]!r}")
            answers = answers_file.read(
                self._file(),
                texts.classes,
                self.text_column,
                self.pair_column,
                self.label_column,
                self.confidence_column,
                None if ids is None else ids[0],
                texts.label_sets is not None,
            )
            beside = self._checked(answers, splits)
            rows = {name: np.full(len(one.texts), -1) for name, one in texts.splits.items()}
            rows |= {name: rows_of(answers.keys, one) for name, one in splits.items()}
            if not (rows["train"] >= 0).any():
                got = f"{len(answers.keys):,} answers, none of them to a {'text' if ids is None else 'row'} of train"
                cure = "Ask for the very texts of the data set, or name their column by teacher.text_column=NAME."
                if ids is not None:
                    cure = "Name the data's own column of these ids by dataset.id_column=NAME."
                raise UserError(f"{WHERE} {self.path}", expected="answers to the data's texts", got=got, cure=cure)
            labels = {name: gold(one.labels, texts.label_sets) for name, one in texts.splits.items()}
            sure = self.confidence or agreement_of(answers, rows["train"], labels["train"])[0]
            logits, about = vote_logits(answers, sure, texts.label_sets is not None), {}
            for name, found in rows.items():
                with NpyFile(draft / f"{name}.npy", np.float32, answers.scores.shape[1:]) as file:
                    for at in range(0, len(found), _PART):
                        file.append(of_rows(logits, found[at : at + _PART]))
                about[name] = {
                    "rows": len(found),
                    "answered": int((found >= 0).sum()),
                    "agreement": agreement_of(answers, found, labels[name])[1],
                    "confidence": round(sure, 4) if answers.votes and answers.confidence is None else None,
                    "unknown": list(answers.unknown),
                    "labels_alone": bool(answers.votes),
                    **({} if texts.label_sets is None else {"several": True}),
                    **beside,
                }
            (draft / "about.json").write_text(json.dumps(about), encoding="utf-8")

        folder = cache.build("outputs", {**self.fit_parts(dataset), "dataset": dataset}, make)
        logits = np.load(folder / f"{split}.npy", mmap_mode="c", allow_pickle=False)
        return logits, json.loads((folder / "about.json").read_text(encoding="utf-8"))[split]

    def _checked(self, answers: Answers, splits: Mapping[str, Split]) -> dict[str, Any]:
        """What there is to say of ids, once the texts beside them are the data's."""
        if not answers.ids:
            return {}
        differing, compared, example = other_texts(answers.ids, answers.texts, splits) if answers.texts else (0, 0, "")
        if 2 * differing > compared:
            got = f"{differing:,} of {compared:,} that are others: {example}"
            cure = (
                "Pair ids and answers anew; where that column holds something else than the texts, type "
                "teacher.text_column=null."
            )
            where = f"{WHERE} {self.path}, column {self.text_column!r}"
            raise UserError(where, expected="the data's texts beside their ids", got=got, cure=cure)
        strange = list(unknown_ids(answers.ids, splits))
        return {"unknown_ids": strange, "other_texts": [differing, compared, example]}

    def _file(self) -> Path:
        file = Path(self.path).expanduser()
        if not file.is_file():
            got = "a folder" if file.is_dir() else "no such file"
            cure = "Name a file of answers: CSV, TSV, JSON Lines or Parquet."
            raise UserError(f"{WHERE} {self.path}", expected="a file of answers", got=got, cure=cure)
        return file


def told(name: str, split: str, about: Mapping[str, Any]) -> str:
    """What a user should hear of the answers to a split, in a line."""
    parts = [f"{about['answered']:,} of {about['rows']:,} rows of {split} answered"]
    if about["agreement"] is not None:
        parts.append(f"{100 * about['agreement']:.1f} % as the gold label{'s' if about.get('several') else ''}")
    if about["confidence"] is not None:
        parts.append(f"a label counts for {100 * about['confidence']:.0f} %")
    if about["unknown"][0]:
        parts.append(f"{about['unknown'][0]:,} answers name no class, such as {about['unknown'][1]!r}")
    if split == "train" and (strange := about.get("unknown_ids", (0,)))[0]:
        parts.append(f"{strange[0]:,} ids that no row has, such as {strange[1]!r}")
    if split == "train" and (others := about.get("other_texts", (0,)))[0]:
        parts.append(f"{others[0]:,} of {others[1]:,} beside another text: {others[2]}")
    return f"teacher {name}: {', '.join(parts)}"
