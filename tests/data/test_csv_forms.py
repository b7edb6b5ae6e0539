"""Files of rows in whatever form they come: delimiters, packing, encodings, no header, JSON Lines, Parquet, Arrow."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import shlex
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from row_files import read

from kd_lab.cli.compose import compose
from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED
from kd_lab.data.tokenized import tokenise
from kd_lab.data.transfer_rows import columns_in_chunks
from kd_lab.pipeline.run import resolved_config

ROWS = [(f"plain words number {row}", "ab"[row % 2]) for row in range(40)]
BODY = "".join(f"{text},{label}\n" for text, label in ROWS)


def message(source: Csv) -> str:
    with pytest.raises(UserError) as caught:
        source.load()
    return str(caught.value)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "rows"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_packed_file_is_read_whatever_it_is_called(write: Any, pack: Any, name: str, mark: str) -> None:
    assert read(Csv(write(pack(f"text,label\n{BODY}".replace(",", mark).encode()), name)).load()) == sorted(ROWS)


@pytest.mark.parametrize("mark", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quotes_that_quote_nothing_are_letters_and_take_in_no_rows(write: Any, mark: str, end: str) -> None:
    rows = [(f'"{text}' if row in (5, 15, 16) else text, label) for row, (text, label) in enumerate(ROWS)]
    path = write(end.join(mark.join(row) for row in [("text", "label"), *rows]) + end, "rows.tsv")
    assert read(Csv(path).load()) == sorted(rows)
    (transfer,) = ["".join(table[0]) for table in columns_in_chunks(Path(path), ".csv", ["text"], "utf-8", "here")]
    assert transfer == "".join(text for text, _ in rows)


@pytest.mark.parametrize("slip", ['"he said "hi" to me",', '"a text" ,', f'"{"long " * 30_000}",'])
def test_a_slip_or_a_long_text_in_a_quoted_file_makes_no_letters_of_its_quotes(write: Any, slip: str) -> None:
    lines = [f'"{text}","{label}"\n' for text, label in ROWS]
    path = write("".join(['"text","label"\n', *lines[:20], f'{slip}"a"\n', *lines[20:]]))
    assert Csv(path).load().classes == ("a", "b")


def test_quoted_texts_keep_their_lines(write: Any) -> None:
    rows = [(f"one, {text}\ntwo", label) for text, label in ROWS]  # each line of which has as many commas as a row
    path = write("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows))
    assert read(Csv(path).load()) == sorted(rows)


def test_half_a_surrogate_pair_is_no_letter(write: Any) -> None:
    rows = "".join(json.dumps({"text": f"{text} \ud83d", "label": label}) + "\n" for text, label in ROWS)
    assert read(Csv(write(rows, "rows.jsonl")).load()) == sorted((f"{text} ", label) for text, label in ROWS)


def test_a_zip_without_the_column_is_told_in_one_line(write: Any, tmp_path: Path) -> None:
    pd.DataFrame(ROWS, columns=["words", "label"]).to_csv(tmp_path / "rows.zip", index=False)
    assert "expected a column 'text', once, got 'words', 'label'" in message(Csv(str(tmp_path / "rows.zip")))


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_file_without_a_header_is_read_by_the_names_of_its_columns(write: Any, mark: str) -> None:
    path = write("".join(f"{label}{mark}7{mark}{text}\n" for text, label in ROWS))
    assert read(Csv(path, columns=("label", "id", "text")).load()) == sorted(ROWS)


def test_the_cure_for_a_file_without_a_header_works_as_typed(write: Any) -> None:
    path = write("".join(f"{label};7;{text}\n" for text, label in ROWS))
    said = message(Csv(path, text_column="Satz hier", label_column="Ü"))
    assert "looks like a row" in said
    assert "NAME" not in said
    cure = said[said.index("name them with ") + len("name them with ") : -1]
    (override,) = shlex.split(cure)
    given = ["dataset=csv", f"dataset.path={path}", "dataset.text_column=Satz hier", "dataset.label_column=Ü", override]
    assert read(build(resolved_config(compose(given).dataset), "dataset").load()) == sorted(ROWS)


def test_a_delimiter_or_names_of_columns_that_do_not_fit_are_refused(write: Any) -> None:
    assert message(Csv(write(f"text,label\n{BODY}"), delimiter="tab")).endswith("Leave dataset.delimiter out.")
    path = write(BODY)
    assert "expected 2 names, one for each column, got 3" in message(Csv(path, columns=("text", "label", "id")))
    assert "expected 'label' among them, once" in message(Csv(path, columns=("text", "id")))
    path = write(f"text,label\n{BODY}")
    assert "a first line with these very names" in message(Csv(path, columns=("text", "label")))


def test_a_column_that_is_called_almost_so_is_named(write: Any) -> None:
    assert "e.g. dataset.text_column=Text." in message(Csv(write(f"Text,label\n{BODY}")))
    assert "e.g. dataset.text_column=Text dataset.label_column=Label." in message(Csv(write(f"Text,Label\n{BODY}")))
    assert "e.g. dataset.text_column=Text dataset.label_column=Kind." in message(Csv(write(f"Text,Kind\n{BODY}")))
    assert "e.g. dataset.text_column=Text." in message(Csv(write(f"Text,Kind,Day\n{BODY}")))  # either may be the label
    assert "e.g." not in message(Csv(write(f"Says,Kind\n{BODY}")))
    assert message(Csv(write(f"text,Label\n{BODY}"), pair_column="b")).endswith("e.g. dataset.label_column=Label.")


def test_blanks_around_names_of_columns_are_no_part_of_them(write: Any) -> None:
    assert read(Csv(write(f"text , label\n{BODY}")).load()) == sorted(ROWS)


def test_a_delimiter_can_be_given_by_letter_and_by_name(write: Any) -> None:
    path = write("text:label\n" + "".join(f"{text}:{label}\n" for text, label in ROWS))
    assert read(Csv(path, delimiter=":").load()) == sorted(ROWS)
    path = write("text;label,label\n" + "".join(f"{text};{label},x\n" for text, label in ROWS))
    assert Csv(path, text_column="text", label_column="label,label", delimiter="semicolon").load().classes == (
        "a,x",
        "b,x",
    )


def test_what_is_at_its_default_renames_nothing(write: Any) -> None:
    path = write(f"text,label\n{BODY}")
    assert set(Csv(path).fingerprint_parts()) == {"files", "columns", "split"}
    assert fingerprint(Csv(path, delimiter="tab")) == fingerprint(Csv(path, delimiter="\t")) != fingerprint(Csv(path))


@pytest.mark.parametrize("header", [",text,label", "text,label"])
def test_a_column_of_row_numbers_is_harmless(write: Any, header: str) -> None:
    """pandas writes one without a name, R one that the header lacks."""
    first = 0 if header.startswith(",") else 1
    path = write(f"{header}\n" + "".join(f'"{row + first}",{text},{label}\n' for row, (text, label) in enumerate(ROWS)))
    assert read(Csv(path).load()) == sorted(ROWS)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_known_by_its_nuls(write: Any, encoding: str) -> None:
    assert read(Csv(write(f"text,label\n{BODY}".encode(encoding))).load()) == sorted(ROWS)


JSON = "".join(json.dumps({"id": {"a": [1]}, "text": text, "label": label}) + "\n" for text, label in ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", JSON.encode()),
        ("rows.ndjson", JSON.encode("utf-8-sig")),
        ("rows.txt", JSON.encode()),
        ("rows.json.gz", gzip.compress(JSON.encode(), mtime=0)),
        ("rows.json", json.dumps([dict(zip(("text", "label"), row, strict=True)) for row in ROWS]).encode()),
    ],
)
def test_json_is_read_as_a_csv_is(write: Any, name: str, content: bytes) -> None:
    assert read(Csv(write(content, name)).load()) == sorted(ROWS)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.pq", "rows.bin", "rows.arrow", "rows.feather", "stream.arrow"])
def test_parquet_and_arrow_are_read_as_a_csv_is(tmp_path: Path, name: str) -> None:
    table = pa.table({"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]})
    table = table.append_column("extra", pa.array([[("k", "v")]] * 40, pa.map_(pa.string(), pa.string())))
    path = tmp_path / name
    if path.suffix in (".arrow", ".feather"):
        with (pa.ipc.new_stream if name == "stream.arrow" else pa.ipc.new_file)(path, table.schema) as sink:
            sink.write_table(table)
    else:
        pq.write_table(table, path)
    assert read(Csv(str(path)).load()) == sorted(ROWS)


def test_typed_labels_are_words_and_null_is_none(tmp_path: Path) -> None:
    for kind, names in (([1, 2, None], ("1", "2")), ([True, False, None], ("False", "True")), ([1.0, 2.0], ("1", "2"))):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps({"text": f"t{n}", "label": kind[n % len(kind)]}) + "\n" for n in range(30)))
        texts = Csv(str(path)).load()
        assert texts.classes == names
        assert (texts.splits["train"].labels == UNLABELLED).any() == (None in kind)
    frame = pd.DataFrame({"text": [f"t{n}" for n in range(40)], "label": pd.Categorical(["x", "y"] * 20)})
    frame.to_parquet(tmp_path / "rows.parquet")
    assert Csv(str(tmp_path / "rows.parquet")).load().classes == ("x", "y")


def test_a_file_of_the_hub_keeps_its_names_of_classes(tmp_path: Path) -> None:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"text": [f"t{n}" for n in range(40)], "label": [n % 2 for n in range(39)] + [-1]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "rows.parquet")
    texts = Csv(str(tmp_path / "rows.parquet")).load()
    assert texts.classes == ("no", "yes")
    assert (texts.splits["train"].labels == UNLABELLED).sum() == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.csv", gzip.compress("text,label\ncafé “q”,a\n".encode("cp1252"), mtime=0), "dataset.encoding=cp1252.$"),
        ("rows.parquet.gz", gzip.compress(b"PAR1", mtime=0), "Unpack it, e.g. gunzip -k"),
        ("rows.jsonl", '{"text": "a", "label": ["x", "y"]}\n' * 3, "got lists of labels.*task=multi_label"),
        ("rows.jsonl", '{"text": 3, "label": "x"}\n', "column 'text': expected texts, got int"),
        ("rows.jsonl", '{"text": "a", "label": "x"}\n{"text": ', "expected JSON Lines in utf-8, got .*line 2"),
        ("rows.jsonl", "[1, 2]", "a row that is int"),
        ("rows.jsonl", '{"sentence": "a", "label": "x"}\n', "a column 'text', once, got 'sentence', 'label'"),
        ("rows.parquet", "PAR1", "expected Parquet"),
        ("rows.xlsx", "PK", "a spreadsheet. Save it as CSV"),
    ],
)
def test_a_bad_file_of_another_form_is_one_clear_line(write: Any, name: str, content: Any, words: str) -> None:
    path = write(content, name)
    said = message(Csv(path))
    assert said.startswith(f"dataset file {path}")
    assert re.search(words, said)


def test_a_folder_is_said_to_be_one_with_what_reads_it(tmp_path: Path) -> None:
    assert f"dataset=parquet dataset.path={tmp_path}" in message(Csv(str(tmp_path)))


def test_what_was_taken_for_granted_is_a_warning_of_the_tokens(write: Any, bert_tokenizer: Any, own_cache: Any) -> None:
    path = write(f"text,label\n{BODY}".replace("number 3,b", "number 3,b "))
    [warned] = tokenise(Csv(path), bert_tokenizer, own_cache).warnings
    assert warned == "blanks around labels are no part of a class's name: left out in 1 row, e.g. 'b '"


def test_a_damaged_arrow_file_ends_no_process(tmp_path: Path) -> None:
    """Offsets that lead out of the text: read as they are, they end Python by a bus error."""
    table = pa.table({"text": ["abc", "def" * 10], "label": ["x", "y"]})
    with pa.ipc.new_file(tmp_path / "rows.arrow", table.schema) as sink:
        sink.write_table(table)
    whole = bytearray((tmp_path / "rows.arrow").read_bytes())
    ends = np.array([3, 33], "<i4").tobytes()
    assert whole.count(ends) == 1
    whole = whole.replace(ends, np.array([3, 2**30], "<i4").tobytes())
    (tmp_path / "rows.arrow").write_bytes(whole)
    assert "expected Arrow" in message(Csv(str(tmp_path / "rows.arrow")))
