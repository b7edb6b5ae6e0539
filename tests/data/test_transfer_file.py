"""Text without labels goes in by one option from any file that people have, or is refused by one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from row_files import write

from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan
from kd_lab.data.hub import Hub
from kd_lab.data.transfer_file import with_transfer

TEXTS = ["more words, quoted", "füll", "third one"]
SENTENCES = ["Nobody saw it coming.", "Why?", 'He said "we did!"', "and left…", "A line", "ends here too \u3002"]
TRAIN = Split(["one", "two"], np.array([0, 1]))


def as_txt(path: Path) -> None:
    path.write_text("\n".join([TEXTS[0], "", *TEXTS[1:]]) + "\n", encoding="utf-8-sig")


def as_csv(path: Path) -> None:
    path.write_text("\n".join(["id,text", *(f'{row},"{text}"' for row, text in enumerate(TEXTS))]))


def as_jsonl(path: Path) -> None:
    path.write_text("\n".join(json.dumps({"text": text, "id": row}) for row, text in enumerate([*TEXTS, None])))


def as_parquet(path: Path) -> None:
    write(path, {"text": [*TEXTS, None], "id": [1, 2, 3, 4]})


KINDS: dict[str, Callable[[Path], None]] = {
    "more.txt": as_txt,
    "more.csv": as_csv,
    "more.jsonl": as_jsonl,
    "more.parquet": as_parquet,
}


@pytest.mark.parametrize("name", [*KINDS, "more.txt.gz", "more.csv.gz", "more.jsonl.gz"])
def test_each_kind_of_file_packed_or_not_gives_its_texts_without_labels(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    KINDS[name.removesuffix(".gz")](path)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = with_transfer(TRAIN, str(path), "text", None)
    assert found.texts == ["one", "two", *TEXTS]
    assert found.labels.tolist() == [0, 1, *[UNLABELLED] * 3]


def test_long_texts_become_sentences_of_so_many_words_under_a_name_of_their_own(tmp_path: Path) -> None:
    text = 'Nobody saw it coming. Why?<br /><br />He said "we did!" and left… A line\nends here too \u3002\uff01 no'
    (tmp_path / "more.csv").write_text(f'body\n"{text.replace(chr(34), 2 * chr(34))}"\n')
    found = with_transfer(TRAIN, str(tmp_path / "more.csv"), "text", None, column="body", sentences=(2, 4))
    assert found.texts == ["one", "two", *SENTENCES[:1], *SENTENCES[2:]]
    shorter = with_transfer(TRAIN, str(tmp_path / "more.csv"), "text", None, column="body", sentences=(1, 1))
    assert shorter.texts == ["one", "two", "Why?", "\uff01", "no"]


def test_some_are_drawn_by_chance_and_a_higher_limit_takes_more_of_the_same(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("\n".join(map(str, range(100))))

    def drawn(limit: int, seed: int = 0) -> list[str]:
        return list(with_transfer(TRAIN, str(tmp_path / "more.txt"), "text", None, limit=limit, seed=seed).texts)

    few, more = drawn(10), drawn(30)
    assert (len(few), len(more), few[:2]) == (12, 32, ["one", "two"])
    assert set(few) < set(more)
    assert more[2:] == sorted(more[2:], key=int)
    assert few == drawn(10) != drawn(10, seed=1)
    assert len(drawn(101)) == 102


def test_a_pair_is_not_cut_into_sentences(tmp_path: Path) -> None:
    (tmp_path / "more.tsv").write_text("text\tother\nwhat\twhy\n")
    with pytest.raises(UserError, match="expected single texts, got pairs of texts"):
        with_transfer(Split(["a"], np.array([0]), ["b"]), str(tmp_path / "more.tsv"), "text", "other", sentences=(1, 9))


def test_a_range_of_words_that_ends_before_it_begins_is_refused(tmp_path: Path) -> None:
    as_txt(tmp_path / "more.txt")
    with pytest.raises(UserError, match=r"expected \[FROM,TO\] words, got \[35, 4\]\. Use \[4,35\]"):
        with_transfer(TRAIN, str(tmp_path / "more.txt"), "text", None, sentences=(35, 4))


def test_pairs_come_in_two_columns(tmp_path: Path) -> None:
    (tmp_path / "more.tsv").write_text("text\tother\nwhat\twhy\nempty\t\n")
    train = Split(["one"], np.array([0]), ["first"])
    found = with_transfer(train, str(tmp_path / "more.tsv"), "text", "other")
    assert (found.texts, found.pairs) == (["one", "what"], ["first", "why"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.txt", None, r"expected texts without labels, got no such file\. Name a file"),
        ("more.docx", b"x", r"expected a file that ends in \.txt, \.csv.* got 'more\.docx'"),
        ("more.csv", b"body,id\nhello,1\n", r"expected a column 'text', got 'body', 'id'"),
        ("more.jsonl", b'{"text": 5}\n', r"column 'text': expected texts, got int 5"),
        ("more.jsonl", b'{"text": "a"\n', r"expected texts in utf-8, as \.jsonl, got ValueError"),
        ("more.parquet", b"PAR1", r"expected texts in utf-8, as \.parquet"),
        ("more.txt", b"caf\xe9\n", r"expected texts in utf-8, as \.txt, got UnicodeDecodeError"),
        ("more.txt", b" \n\n", r"expected texts, got none"),
        ("more.txt.gz", b"not packed", r"expected texts in utf-8, as \.txt, got BadGzipFile"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words) as caught:
        with_transfer(TRAIN, str(tmp_path / name), "text", None)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"dataset.transfer_path {tmp_path / name}")


def test_a_data_set_takes_them_into_train_alone_and_is_named_by_what_they_hold(tmp_path: Path) -> None:
    rows = "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(40))
    (tmp_path / "rows.csv").write_text(f"text,label\n{rows}")
    as_txt(tmp_path / "more.txt")
    plain, more = (Csv(str(tmp_path / "rows.csv"), transfer_path=path) for path in (None, str(tmp_path / "more.txt")))
    found, before = more.load(), plain.load()
    assert found.splits["train"].texts == [*before.splits["train"].texts, *TEXTS]
    for name in ("validation", "test"):
        assert found.splits[name].texts == before.splits[name].texts
    names = [fingerprint(plain), fingerprint(more)]
    for given in ({"transfer_limit": 5}, {"transfer_sentences": (2, 4)}, {"transfer_column": "body"}):
        assert fingerprint(replace(plain, **given)) == names[0]
        names.append(fingerprint(replace(more, **given)))
    by_chance = replace(more, transfer_limit=5, split=SplitPlan(seed=1))
    assert fingerprint(by_chance) not in (*names, fingerprint(replace(more, split=SplitPlan(seed=1))))
    (tmp_path / "more.txt").write_text("other\n")
    assert len({*names, fingerprint(more)}) == 6


def test_the_same_bytes_under_another_ending_are_other_texts(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(40)))
    for ending in ("txt", "csv"):
        (tmp_path / f"more.{ending}").write_text("text,n\nthis one,1\n")
    plain = Csv(str(tmp_path / "rows.csv"), transfer_path=str(tmp_path / "more.txt"))
    table = replace(plain, transfer_path=str(tmp_path / "more.csv"))
    assert plain.load().splits["train"].texts[-1] == "this one,1"
    assert table.load().splits["train"].texts[-1] == "this one"
    assert fingerprint(plain) != fingerprint(table)


def test_no_sentence_of_a_judged_text_is_among_those_that_are_cut(tmp_path: Path) -> None:
    texts = [f"Number {row} comes first. Then number {row} ends it." for row in range(40)]
    table = {"text": texts, "label": ["a", "b"] * 20}
    rows, more = (write(tmp_path / name, table) for name in ("rows.csv", "more.txt"))
    train = Csv(str(rows), transfer_path=str(more), transfer_sentences=(2, 9)).load().splits["train"]
    own = train.texts[: int((train.labels != UNLABELLED).sum())]
    assert set(train.texts[len(own) :]) == {f"{half.strip('.')}." for text in own for half in text.split(". ")}


def test_parquet_files_of_a_folder_take_them_too(tmp_path: Path) -> None:
    for split in ("train", "test"):
        table = {"text": [f"{split} {row}" for row in range(40)], "label": [row % 2 for row in range(40)]}
        write(tmp_path / f"{split}-0.parquet", table)
    as_parquet(tmp_path / "more.parquet")
    train = Hub(path=str(tmp_path), transfer_path=str(tmp_path / "more.parquet")).load().splits["train"]
    assert train.texts[-3:] == TEXTS
    assert train.labels.tolist().count(UNLABELLED) == 3
