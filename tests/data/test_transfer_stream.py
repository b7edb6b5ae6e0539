"""Any number of rows without labels is read, stored and tokenised some at a time, and comes to what it always was."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from peak_memory import STATUS, growth_mib
from row_files import Held, write

from kd_lab.core.cache import Cache
from kd_lab.data import parquet_file, stored_texts, transfer_rows
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import Split, Texts
from kd_lab.data.stored_texts import StoredTexts
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.data.transfer_file import with_transfer

GROWTH_MIB = 10  # of the memory, from 5,000 to 50,000 rows: 6 as it is, 12 where all texts are held
TRAIN = Split(["one", "two"], np.array([0, 1]))
LINES = "one\r\ntwo\rthree\n\nvier-ü\x0bx\u2028y\x85\U0001f642 six\r\n\r\nseven\r"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("block", [1, 2, 3, 5, 2**20])
def test_lines_are_cut_where_they_are_cut_in_the_whole_file(
    block: int, encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_rows, "_BLOCK", block)
    (tmp_path / "more.txt").write_bytes(LINES.encode(encoding))
    found = with_transfer(TRAIN, str(tmp_path / "more.txt"), "text", None, encoding)
    assert found.texts == ["one", "two", *dict.fromkeys(line for line in LINES.splitlines() if line.strip())]


@pytest.mark.parametrize("ending", ["txt", "csv", "tsv", "jsonl", "parquet"])
def test_a_text_counts_once_wherever_it_comes_again(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((transfer_rows, "PIECE"), (parquet_file, "PIECE"), (stored_texts, "_BLOCK")):
        monkeypatch.setattr(module, name, 3)
    texts = [f"text {row % 11}, of many" for row in range(40)]
    for number, part in enumerate((texts[:25], texts[25:])):
        write(tmp_path / f"{number}.{ending}", {"id": range(len(part)), "text": part})
    found = with_transfer(TRAIN, str(tmp_path / f"*.{ending}"), "text", None)
    assert isinstance(found.texts, StoredTexts)
    assert found.texts == ["one", "two", *texts[:11]]
    assert found.labels.tolist() == [0, 1, *[-1] * 11]


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("more.txt", "a\nb".encode("utf-16"), ["a", "b"]),
        ("more.csv", gzip.compress(b"id,text\n1,a\n", mtime=0), ["a"]),
        ("more.csv", b'"id","text"\n"1",1,"a"\n"2",2,"b"\n', ["a", "b"]),
        ("more.csv", b" id , text\n1,a\n", ["a"]),
        ("more.csv", b"id,text\n1\n2,NA\n", ["NA"]),
        ("more.jsonl", b'\xef\xbb\xbf{"text": "a"}\n\n{"id": 1}\n{"text": NaN}\n{"text": "b"}', ["a", "b"]),
        ("more.jsonl", b'{"text": "half \\ud83d"}\n{"text": "\\ud83d\\ude42"}', ["half ", "\U0001f642"]),
    ],
)
def test_files_are_read_as_a_data_set_s_own_are(name: str, content: bytes, texts: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert with_transfer(TRAIN, str(tmp_path / name), "text", None).texts == ["one", "two", *texts]


def in_lists(texts: Texts) -> Texts:
    splits = {
        name: Split(list(one.texts), one.labels, None if one.pairs is None else list(one.pairs))
        for name, one in texts.splits.items()
    }
    return texts._replace(splits=splits)


@pytest.mark.parametrize("pair", [None, "other"])
def test_tokens_and_warnings_are_those_of_the_same_rows_in_lists(
    pair: str | None, bert_tokenizer: Tokenizer, own_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd_lab.data.tokenizer._CHUNK", 50)
    monkeypatch.setattr(stored_texts, "_BLOCK", 30)
    rows = [(f"the {row} cats, {'quite ' * (row % 25)}", f"who {row}", "ab"[row % 2]) for row in range(200)]
    pd.DataFrame(rows, columns=["text", "other", "label"]).to_csv(tmp_path / "rows.csv", index=False)
    own = [{"text": text.upper(), "other": other} for text, other, _ in rows[:90]]  # some stand in validation or test
    more = [{"text": f"ünknown 🙂 {row} {'word ' * (row % 30)}", "other": f"x {row}"} for row in range(700)]
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, [*own, *more, *more[:100]])))
    data = Csv(str(tmp_path / "rows.csv"), pair_column=pair, transfer_path=str(tmp_path / "more.jsonl"))
    short = replace(bert_tokenizer, max_tokens=16)
    ours, theirs = (tokenise(one, short, own_cache) for one in (data, Held(in_lists(data.load()))))
    assert [len(ours.split("train")), len(ours.warnings)] == [len(theirs.split("train")), 3]
    assert "without a label stand in validation or test" in ours.warnings[0]
    names = [path.name for path in theirs.folder.iterdir() if path.name != "manifest.json"]
    assert ("train.segments.npy" in names) == (pair is not None)
    for name in names:
        assert (ours.folder / name).read_bytes() == (theirs.folder / name).read_bytes(), name
    assert sum(1 for _ in ours.sentences()) == len(ours.split("train"))


@pytest.mark.skipif(not STATUS.exists(), reason="it is read from /proc")
def test_memory_hardly_grows_with_the_rows(bert_tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert growth_mib("transfer", tmp_path, bert_tokenizer.path, 5_000, 50_000) < GROWTH_MIB
