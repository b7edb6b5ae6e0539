"""Any sound CSV file is read; each thing that can be wrong with one is a clear line of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from row_files import read

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED, SplitPlan
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import Tokenizer

Write = Callable[..., str]
ROWS = "".join(f"text number {row},{'ab'[row % 2]}\n" for row in range(20))


def test_every_row_of_the_file_is_in_one_split(toy_csv: Path) -> None:
    texts = Csv(str(toy_csv)).load()
    assert texts.classes == ("animals", "food", "weather")
    assert read(texts) == sorted(pd.read_csv(toy_csv).itertuples(index=False, name=None))
    sizes = {name: len(some.texts) for name, some in texts.splits.items()}
    assert sizes == {"train": 129, "validation": 15, "test": 36}


def test_columns_files_and_pairs_are_those_named(write: Write) -> None:
    header = "id,premise,hypothesis,gold\n"
    train = write(header + '1,"a, quoted",b,yes\n2,"two\nlines",d,no\n3,e,f,yes\n4,g,h,no\n', "train.csv")
    test = write(header + "9,x,y,no\n", "test.csv")
    source = Csv(train, "premise", "gold", "hypothesis", test_path=test, validation_path=test)
    texts = source.load()
    assert texts.splits["train"].texts == ["a, quoted", "two\nlines", "e", "g"]
    assert texts.splits["train"].pairs == ["b", "d", "f", "h"]
    assert [texts.classes[label] for label in texts.splits["train"].labels] == ["yes", "no", "yes", "no"]
    assert texts.splits["test"].texts == texts.splits["validation"].texts == ["x"]


def test_texts_that_pandas_takes_for_missing_are_texts(write: Write) -> None:
    path = write("text,label\n" + "NA,a\nnull,b\nNone,a\nnan,b\n" * 5)
    assert sorted(set(Csv(path).load().splits["train"].texts)) == ["NA", "None", "nan", "null"]


def test_another_encoding_can_be_named(write: Write) -> None:
    path = write(("text,label\n" + ROWS.replace("text", "café")).encode("latin-1"))
    assert ("café number 0", "a") in read(Csv(path, encoding="latin-1").load())


def test_an_empty_label_in_train_marks_text_without_a_label_and_is_refused_in_test(
    write: Write, tmp_path: Path
) -> None:
    rows = "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(20))
    texts = Csv(write(f"text,label\n{rows}mine,\nyours\n")).load()
    assert texts.classes == ("a", "b")
    assert texts.splits["train"].labels.tolist().count(UNLABELLED) == 2
    assert UNLABELLED not in np.concatenate([texts.splits[name].labels for name in ("validation", "test")])
    other = tmp_path / "test.csv"
    other.write_text("text,label\nhello,a\nthere,\n")
    with pytest.raises(
        UserError, match=r"row 2: expected a label, got none \(1 rows in all\)\. Mend or remove the rows\."
    ):
        Csv(write(f"text,label\n{rows}"), test_path=str(other)).load()


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("", {}, "an empty file"),
        ("text,label\n", {}, "rows below the header"),
        (
            "Text,Label\nhello,a\n",
            {},
            "columns 'text' and 'label', .*e.g. dataset.text_column=Text dataset.label_column=Label",
        ),
        ("text,Label\nhello,a\n", {}, "a column 'label'.*dataset.label_column=NAME"),
        ("text,label\nhello,a\n", {"pair_column": "other"}, "a column 'other'.*dataset.pair_column=NAME"),
        ("text,label\nhello,a\n,b\nyou,a\n", {}, "column 'text', row 2: expected a text, got none"),
        ('text,label\nhello,a\n"  ",b\nyou,a\n', {}, "column 'text', row 2: expected a text, got none"),
        ("text,label\nhello,\nthere,\nyou,\n", {}, r"row 1: expected a label, got none \(3 rows in all\)"),
        ("text,label\nhello,a\nthere,b\nyou,NAN\n", {}, "row 3: expected a label, got none.*an empty label marks text"),
        ("text,label\nhello,a\nthere,NaN\nyou,nan\n", {}, r"row 2: expected a label, got none \(2 rows in all\)"),
        ("text,label\n1,a\n2.5,b\n-3,a\n", {}, "column 'text': expected texts, got numbers only.*dataset.text_column"),
        ("text,label\ncafé,a\n".encode("latin-1"), {}, "expected text in utf-8.*dataset.encoding=cp1252"),
        (b"text,label\ncaf\x81,a\n", {}, "expected text in utf-8.*dataset.encoding=latin-1"),  # none of cp1252's
        ("text,text,label\nhello,you,a\n", {}, "a column 'text', once, got 'text', 'text', 'label'"),
        ("hello,a\nthere,b\n", {}, r"dataset.label_column=NAME. Where the first line is .*columns=\[text,label\]"),
        ("text,label\nhello,a\n", {"encoding": "no-such-code"}, "expected text in no-such-code"),
        ("text,label\nhello,a\nthere, you,b\n", {}, "expected CSV.*Quote texts that hold commas"),
        ("text,label\nhello, you,a\nthere, me,b\n", {}, "Quote texts that hold commas"),  # pandas drops "hello"
        ('text,label\n"hello,a\nthere,b\n', {}, "expected CSV"),
    ],
)
def test_a_bad_file_is_one_clear_line(write: Write, content: str | bytes, options: dict[str, Any], words: str) -> None:
    path = write(content)
    with pytest.raises(UserError, match=words) as caught:
        Csv(path, **options).load()
    assert str(caught.value).startswith(f"dataset file {path}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_with_its_source_before_anything_is_made(
    tmp_path: Path, bert_tokenizer: Tokenizer, own_cache: Cache
) -> None:
    with pytest.raises(
        UserError, match=r"expected a CSV file, got no such file\. Get it from Kaggle, or .*dataset.path=FILE"
    ):
        tokenise(Csv(str(tmp_path / "nowhere.csv"), source="Kaggle"), bert_tokenizer, own_cache)
    with pytest.raises(UserError, match="got a folder"):
        Csv(str(tmp_path)).load()
    assert not own_cache.root.exists()


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ("hello,a\nthere,a\nyou,a\nme,a\n", None, "at least two classes, got only 'a'"),
        ("hello,a\nthere,b\nyou,a\nme,b\n", "who,c\n", "split test: expected only labels that train has, got 'c'"),
    ],
)
def test_labels_unfit_to_learn_leave_no_tokens(
    write: Write, train: str, test: str | None, words: str, bert_tokenizer: Tokenizer, own_cache: Cache
) -> None:
    paths = {"test_path": write("text,label\n" + test, "test.csv")} if test else {}
    source = Csv(write("text,label\n" + train), split=SplitPlan(validation_fraction=0.5), **paths)
    with pytest.raises(UserError, match=words):
        tokenise(source, bert_tokenizer, own_cache)
    assert not own_cache.entries()


def test_its_name_is_that_of_its_content(write: Write) -> None:
    path, copy = write("text,label\n" + ROWS), write("text,label\n" + ROWS, "copy.csv")
    other = write("text,label\n" + ROWS.replace("number 3", "number three"), "other.csv")
    assert fingerprint(Csv(path)) == fingerprint(Csv(copy, name="mine", source="me"))
    different = [
        Csv(other),
        Csv(path, test_path=copy),
        Csv(path, text_column="label"),
        Csv(path, split=SplitPlan(seed=1)),
        Csv(path, encoding="latin-1"),
    ]
    assert len({fingerprint(source) for source in [Csv(path), *different]}) == 6


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("said", ["utf-8", "latin-1"])
def test_a_byte_order_mark_tells_the_encoding(write: Write, encoding: str, said: str) -> None:
    if encoding == "utf-8-sig" and said == "latin-1":
        said = "utf-8-sig"
    path = write(("text,label\n" + ROWS.replace("text", "café")).encode(encoding))
    assert ("café number 0", "a") in read(Csv(path, encoding=said).load())


def test_a_class_may_be_called_none_and_a_label_may_be_a_number_of_thousands_of_digits(write: Write) -> None:
    rows = "".join(f"text number {row},{('NONE', 'null', '9' * 5000)[row % 3]}\n" for row in range(30))
    assert Csv(write("text,label\n" + rows)).load().classes == ("9" * 5000, "NONE", "null")
