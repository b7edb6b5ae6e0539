"""Writes the answers of `kd-lab predict`: tab-separated, CSV, JSON Lines or Parquet; for eyes see `Screen`."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from kd_lab.cli.predict_input import InputTexts
from kd_lab.cli.predict_rows import JSON_LINES, PARQUET, ending
from kd_lab.core.drafts import atomic_file
from kd_lab.core.errors import disk_errors
from kd_lab.serving.cascade import CascadeOutput

_DIGITS = 6  # of a probability in text


class AnswerWriter(Protocol):
    """Where answers go."""

    def write(self, inputs: InputTexts, answers: CascadeOutput) -> None:
        """A row for each text of `inputs`, in order; the answers are those to `inputs.asked`."""


def answer_columns(labels: Sequence[str], whole: bool, abstains: bool, multi_label: bool = False) -> list[str]:
    """Names of what is answered.

    Args:
        labels: all classes, in the model's order.
        multi_label: whether a text may bear several of them: a list of them is answered then.
        whole: whether the probabilities of all classes are among it.
        abstains: whether the model may answer none.
    """
    each = [f"probability.{label}" for label in labels] if whole else []
    return ["labels" if multi_label else "label", "probability", *each, *(["abstained"] if abstains else [])]


class Writer:
    """Columns text [, text_pair] or those of the file, then those of the answers; empty where there is none.

    Args:
        file: where to write.
        columns: names of what stands before the answers.
        answers: names of the answers' columns, see `answer_columns`.
        separator: "," or "\t" between fields, quoted as CSV where they hold it.
    """

    def __init__(self, file: TextIO, columns: Sequence[str], answers: Sequence[str], separator: str) -> None:
        self._csv, self._width = csv.writer(file, delimiter=separator, lineterminator="\n"), len(answers)
        self._csv.writerow([*columns, *answers])

    def write(self, inputs: InputTexts, answers: CascadeOutput) -> None:
        """See `AnswerWriter`."""
        for given, told in zip(_given(inputs), _told(inputs, answers, self._width), strict=True):
            shown = (f"{value:.{_DIGITS}f}" if isinstance(value, float) else _text(value) for value in told)
            self._csv.writerow([*map(_text, given), *shown])


class JsonWriter:
    """The same as one JSON object a line; null where there is none."""

    def __init__(self, file: TextIO, columns: Sequence[str], answers: Sequence[str]) -> None:
        self._file, self._names, self._width = file, [*columns, *answers], len(answers)

    def write(self, inputs: InputTexts, answers: CascadeOutput) -> None:
        """See `AnswerWriter`."""
        for given, told in zip(_given(inputs), _told(inputs, answers, self._width), strict=True):
            shown = (round(value, _DIGITS) if isinstance(value, float) else value for value in told)
            row = dict(zip(self._names, (*given, *shown), strict=True))
            self._file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


class ParquetWriter:
    """The same as Parquet, the file's columns of the types they have there, probabilities unrounded.

    Args:
        file: where to write bytes.
        columns: name -> type, pyarrow's or its name, of what stands before the answers; None for text.
        answers: names of the answers' columns.
    """

    def __init__(self, file: Any, columns: Mapping[str, Any], answers: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        kinds = {"label": pa.string(), "labels": pa.list_(pa.string()), "abstained": pa.bool_()}
        types = {**columns, **{name: kinds.get(name, pa.float64()) for name in answers}}
        named = {name: pa.type_for_alias(kind) if isinstance(kind, str) else kind for name, kind in types.items()}
        self._texts = {name for name, kind in types.items() if kind is None}
        self._schema = pa.schema([(name, kind or pa.string()) for name, kind in named.items()])
        self._width = len(answers)
        self._file = pa.parquet.ParquetWriter(file, self._schema)

    def write(self, inputs: InputTexts, answers: CascadeOutput) -> None:
        """See `AnswerWriter`."""
        import pyarrow as pa

        both = zip(_given(inputs), _told(inputs, answers, self._width), strict=True)
        rows = [(*given, *told) for given, told in both]
        columns = []
        for values, field in zip(zip(*rows, strict=True), self._schema, strict=True):
            texts = field.name in self._texts
            columns.append(pa.array([_text(value) for value in values] if texts else values, field.type))
        self._file.write_table(pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Writes what makes the file whole."""
        self._file.close()


@contextmanager
def answer_file(path: Path, columns: Mapping[str, Any], answers: Sequence[str]) -> Iterator[AnswerWriter]:
    """A file of the kind that its name's ending says, whole at the end or not there at all; CSV where it says none.

    Args:
        path: ends in .csv, .tsv or .jsonl, each also with .gz behind it, or in .parquet.
        columns: name -> type in Parquet of what stands before the answers.
        answers: names of the answers' columns.
    """
    kind = ending(path)
    with disk_errors(path.parent), atomic_file(path) as file:
        if kind in PARQUET:
            writer = ParquetWriter(file.buffer, columns, answers)
            yield writer
            writer.close()
        elif path.name.lower().endswith(".gz"):
            packed = gzip.GzipFile("", "wb", fileobj=file.buffer, mtime=0)
            with io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
                yield _of_kind(kind, text, list(columns), answers)
        else:
            yield _of_kind(kind, file, list(columns), answers)


def _of_kind(kind: str, file: TextIO, columns: Sequence[str], answers: Sequence[str]) -> AnswerWriter:
    if kind in JSON_LINES:
        return JsonWriter(file, columns, answers)
    return Writer(file, columns, answers, "\t" if kind == ".tsv" else ",")


def _given(inputs: InputTexts) -> Iterator[Sequence[Any]]:
    """What stands before the answers, row by row."""
    if inputs.columns is not None:
        return zip(*inputs.columns.values(), strict=True)
    sides = [inputs.texts] if inputs.seconds is None else [inputs.texts, inputs.seconds]
    return zip(*sides, strict=True)


def _told(inputs: InputTexts, answers: CascadeOutput, width: int) -> Iterator[list[Any]]:
    """The answers, row by row; None where a text was passed over, or nobody says a label."""
    places = {row: place for place, row in enumerate(inputs.asked)}
    whole = width > 2 + (answers.abstained is not None)
    for row in range(len(inputs.texts)):
        place = places.get(row)
        if place is None:
            yield [None] * width
            continue
        each = answers.probabilities[place].tolist() if whole else []
        left = [] if answers.abstained is None else [bool(answers.abstained[place])]
        yield [answers.labels[place], float(answers.confidence[place]), *each, *left]


def _text(value: Any) -> str | None:
    """A value as text; None where there is none."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, bool | dict | list) else str(value)
