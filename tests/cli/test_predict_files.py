"""`kd-lab predict --csv` keeps what else stands in a file, whatever its kind, and passes over rows without a text."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from small_study import cell

from kd_lab.serving.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house, number 7", "no green song number 1"]


@pytest.fixture
def model(small_study: Path) -> Path:
    return cell(small_study, "[onnx_int8]") / "model"


@pytest.fixture
def labels(model: Path) -> list[str]:
    return TextClassifier(model).predict(TEXTS)[0]


@pytest.fixture
def predict(model: Path, predict: Callable[..., Any]) -> Callable[..., Any]:
    """`kd-lab predict` by that model."""
    return partial(predict, model)


def rows(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def quoted(delimiter: str, *columns: str) -> Iterator[str]:
    yield delimiter.join(columns)
    for number, text in enumerate(TEXTS):
        yield delimiter.join([str(number), f'"{text}"', "mine"][: len(columns)])


def write_kind(kind: str, path: Path) -> None:
    """`TEXTS` with a number and a mark beside each, as a file of that kind."""
    frame = {"id": [0, 1, 2], "text": TEXTS, "mark": ["mine"] * 3}
    if kind == ".parquet":
        pa.parquet.write_table(pa.table(frame), path)
        return
    if kind.startswith(".jsonl"):
        content = "".join(
            json.dumps(dict(zip(frame, row, strict=True))) + "\n" for row in zip(*frame.values(), strict=True)
        )
    else:
        content = "\n".join(quoted("\t" if kind.startswith(".tsv") else ",", *frame)) + "\n"
    path.write_bytes(gzip.compress(content.encode()) if kind.endswith(".gz") else content.encode())


def read_kind(kind: str, path: Path) -> list[dict[str, Any]]:
    if kind == ".parquet":
        return list(pa.parquet.read_table(path).to_pylist())
    content = path.read_bytes()
    text = (gzip.decompress(content) if kind.endswith(".gz") else content).decode()
    if kind.startswith(".jsonl"):
        return [json.loads(line) for line in text.splitlines()]
    return list(rows(text, "\t" if kind.startswith(".tsv") else ","))


KINDS = (".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".parquet")


@pytest.mark.parametrize(
    ("given", "out"), sorted({*zip(KINDS, KINDS, strict=True), *product((".csv", ".jsonl", ".parquet"), KINDS)})
)
def test_a_file_of_any_kind_is_answered_into_its_own_and_any_other_with_all_its_columns(
    given: str, out: str, tmp_path: Path, labels: list[str], predict: Callable[..., Any]
) -> None:
    write_kind(given, tmp_path / f"in{given}")
    assert predict("--csv", f"in{given}", "--out", f"out{out}").out == ""
    found = read_kind(out, tmp_path / f"out{out}")
    assert [list(row) for row in found] == [["id", "text", "mark", "label", "probability"]] * 3
    assert [row["text"] for row in found] == TEXTS
    assert [row["label"] for row in found] == labels
    typed = [kind.startswith((".jsonl", ".parquet")) for kind in (given, out)]
    assert [row["id"] for row in found] == ([0, 1, 2] if all(typed) else ["0", "1", "2"])
    assert isinstance(found[0]["probability"], float if typed[1] else str)


def test_texts_that_were_typed_are_answered_into_any_kind_too(
    tmp_path: Path, labels: list[str], predict: Callable[..., Any]
) -> None:
    for kind in KINDS:
        predict("--out", f"out{kind}", *TEXTS)
        assert [row["label"] for row in read_kind(kind, tmp_path / f"out{kind}")] == labels


def test_types_that_only_parquet_has_come_back_as_they_were(tmp_path: Path, predict: Callable[..., Any]) -> None:
    table = pa.table(
        {
            "when": pa.array([1, None, 3], pa.timestamp("us", "UTC")),
            "text": pa.array(TEXTS).dictionary_encode(),
            "tags": [["a"], [], None],
            "more": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int32())),
        }
    )
    pa.parquet.write_table(table, tmp_path / "in.parquet")
    predict("--csv", "in.parquet", "--out", "out.parquet", "--probabilities")
    found = pa.parquet.read_table(tmp_path / "out.parquet")
    assert found.column_names[4:] == ["label", "probability", *(f"probability.{name}" for name in "abc")]
    assert found.select(table.column_names).to_pylist() == table.to_pylist()
    assert found.schema.field("when").type == table.schema.field("when").type


def test_a_json_key_that_only_some_lines_have_is_null_in_the_others(
    tmp_path: Path, predict: Callable[..., Any]
) -> None:
    (tmp_path / "in.jsonl").write_text(
        f'{{"text": "{TEXTS[0]}", "n": 1}}\n{{"m": {{"a": [1]}}, "text": "{TEXTS[2]}", "n": 2.5}}\n'
    )
    for out in ("out.jsonl", "out.parquet"):
        predict("--csv", "in.jsonl", "--out", out)
    found = read_kind(".jsonl", tmp_path / "out.jsonl")
    assert [(row["n"], row["m"]) for row in found] == [(1, None), (2.5, {"a": [1]})]
    assert [(row["n"], row["m"]) for row in read_kind(".parquet", tmp_path / "out.parquet")] == [
        (1.0, None),
        (2.5, '{"a": [1]}'),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_as_in_a_data_set(
    delimiter: str, tmp_path: Path, labels: list[str], predict: Callable[..., Any]
) -> None:
    (tmp_path / "in.csv").write_text("\n".join(quoted(delimiter, "id", "words", "mark")))
    predict("--csv", "in.csv", "--text-column", "words", "--out", "out.csv")
    found = rows((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in found] == labels
    assert list(found[0]) == ["id", "text", "mark", "label", "probability"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_mark_at_the_start_of_a_file_tells_its_encoding(
    encoding: str, tmp_path: Path, labels: list[str], predict: Callable[..., Any]
) -> None:
    (tmp_path / "in.csv").write_text("\n".join(quoted(",", "größe", "text")), encoding=encoding)
    predict("--csv", "in.csv", "--out", "out.csv")
    found = rows((tmp_path / "out.csv").read_text(encoding="utf-8"))
    assert [row["label"] for row in found] == labels
    assert [row["größe"] for row in found] == ["0", "1", "2"]


def test_a_column_called_like_an_answer_is_kept_under_another_name_and_said(
    tmp_path: Path, labels: list[str], predict: Callable[..., Any]
) -> None:
    (tmp_path / "in.csv").write_text("\n".join(quoted(",", "text", "words", "label")))
    said = predict("--csv", "in.csv", "--text-column", "words", "--out", "out.csv")
    found = rows((tmp_path / "out.csv").read_text())
    assert list(found[0]) == ["given.text", "text", "given.label", "label", "probability"]
    assert [row["given.label"] for row in found] == ["mine"] * 3
    assert [row["label"] for row in found] == labels
    assert "its column 'label' is written as 'given.label'" in said.err
    assert "'words'" not in said.err


def test_rows_without_a_text_are_refused_or_on_request_counted_and_left_empty(
    tmp_path: Path, labels: list[str], predict: Callable[..., Any]
) -> None:
    lines = [f'1,"{TEXTS[0]}"', "2,  ", "", f'3,"{TEXTS[1]}"', f'4,"{TEXTS[2]}"', ""]
    (tmp_path / "in.csv").write_text("\n".join(["id,text", *lines]))
    refused = predict("--csv", "in.csv", code=2)
    assert "line 3, column 'text': expected a text, got an empty text" in refused.err
    assert "--skip-empty" in refused.err
    said = predict("--csv", "in.csv", "--skip-empty", "--out", "out.csv", "--probabilities")
    found = rows((tmp_path / "out.csv").read_text())
    assert [row["id"] for row in found] == ["1", "2", "", "3", "4"]
    assert [row["label"] for row in found] == [labels[0], "", "", *labels[1:]]
    assert {row["probability"] + row["probability.a"] for row in found[1:3]} == {""}
    assert "2 of 5 rows have no text: passed over" in said.err


def test_null_in_a_file_and_a_blank_line_of_standard_input_are_rows_without_a_text(
    tmp_path: Path, predict: Callable[..., Any]
) -> None:
    pd.DataFrame({"text": [TEXTS[0], None], "id": [1, 2]}).to_parquet(tmp_path / "in.parquet")
    assert "row 2, column 'text': expected a text" in predict("--csv", "in.parquet", code=2).err
    predict("--csv", "in.parquet", "--skip-empty", "--out", "out.parquet")
    assert pa.parquet.read_table(tmp_path / "out.parquet")["label"].to_pylist()[1] is None
    for stdin in (b"a red cat\n \n\nthe old cat\n", b"\n\n"):
        said = predict("--skip-empty", stdin=stdin)
        assert [bool(row["label"]) for row in rows(said.out, "\t")] == [
            bool(line.strip()) for line in stdin.splitlines()
        ]
    assert len(rows(predict("--skip-empty", "a red cat", "").out, "\t")) == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.jsonl", b'{"text": "a"}\n[1]\n', "line 2: expected a JSON object, got JSON that is a list"),
        ("in.jsonl", b'{"text": \n', "line 1: expected a JSON object"),
        ("in.jsonl", b'{"text": 5}\n', "line 1, column 'text': expected a text, got int 5"),
        ("in.jsonl", b'{"words": "a"}\n', "expected a column 'text', got 'words'"),
        ("in.jsonl", b"", "expected a column 'text', got none"),
        ("in.parquet", b"PAR1", "expected a file that is whole, as Parquet"),
        ("in.csv.gz", b"text\na cat\n", "expected a file that is whole, as CSV"),
        (
            "in.csv.gz",
            gzip.compress(b"text\n" + b"a cat\n" * 99, mtime=0)[:-9],
            "expected a file that is whole, as CSV",
        ),
        ("in.csv", b"\n\n", "expected a header line and rows, got an empty file"),
        ("in.parquet.gz", b"", "expected Parquet, which is packed by itself"),
    ],
)
def test_a_file_that_is_damaged_is_one_line(
    name: str, content: bytes, words: str, tmp_path: Path, predict: Callable[..., Any]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert words in predict("--csv", name, "--out", "out.csv", code=2).err
    assert not (tmp_path / "out.csv").exists()


def test_parquet_is_not_packed_again(predict: Callable[..., Any]) -> None:
    said = predict("--out", "out.parquet.gz", "a cat", code=2)
    assert said.err.endswith("Name it out.parquet.\n")
