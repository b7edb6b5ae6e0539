"""A file of answers: joined by text, its labels, votes and scores told in logits, what is missing said and left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from test_answers_by_id import keep

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data import tokenized
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import Texts
from kd_lab.training import answer_keys, answers_teacher
from kd_lab.training.answers_teacher import AnswersTeacher

CLASSES = ("animals", "food", "weather")


@pytest.fixture
def texts(toy_csv: Path) -> Texts:
    return tokenized.read(Csv(str(toy_csv)))


def of_train(texts: Texts) -> pd.DataFrame:
    """Text and label of each row of train."""
    train = texts.splits["train"]
    return pd.DataFrame({"text": train.texts, "label": [texts.classes[label] for label in train.labels]})


def asked(path: Path, toy_csv: Path, cache: Cache, split: str = "train", **options: Any) -> tuple[Any, dict[str, Any]]:
    logits, about = AnswersTeacher(str(path), **options).logits_of(Csv(str(toy_csv)), split, cache)
    odds = np.exp(logits.astype(np.float64))
    return odds / odds.sum(axis=1, keepdims=True), about


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "csv.gz", "jsonl.gz"])
def test_probabilities_of_each_class_are_what_it_says(
    ending: str, texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    table = of_train(texts)
    wanted = np.random.default_rng(0).dirichlet(np.ones(3), len(table)).astype(np.float32)
    table = pd.concat([table[["text"]], pd.DataFrame(wanted, columns=list(CLASSES))], axis=1)
    table = table.sample(frac=1, random_state=0)  # rows are joined by their text
    table["text"] = table["text"].str.replace(" ", "  ") + " "  # but for blanks
    path = tmp_path / f"said.{ending}"
    keep(table, path)
    odds, about = asked(path, toy_csv, own_cache)
    assert np.abs(odds - wanted).max() < 1e-4
    assert about["answered"] == about["rows"] == len(wanted)


def test_logits_stay_as_they_are(texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path) -> None:
    table = of_train(texts)
    wanted = np.random.default_rng(0).normal(0, 3, (len(table), 3)).astype(np.float32)
    pd.concat([table[["text"]], pd.DataFrame(wanted, columns=list(CLASSES))], axis=1).to_parquet(
        tmp_path / "said.parquet"
    )
    logits, _ = AnswersTeacher(str(tmp_path / "said.parquet")).logits_of(Csv(str(toy_csv)), "train", own_cache)
    assert np.array_equal(logits, wanted)


def test_text_without_labels_is_answered_too_some_rows_at_a_time(
    toy_csv: Path, own_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (answer_keys, answers_teacher):
        monkeypatch.setattr(module, "_PART", 7)
    more = [f"text {row} without a label" for row in range(50)]
    (tmp_path / "more.txt").write_text("\n".join(more))
    said = np.random.default_rng(0).normal(0, 3, (50, 3)).astype(np.float32)
    pd.concat([pd.DataFrame({"text": more}), pd.DataFrame(said, columns=list(CLASSES))], axis=1)[::-2].to_parquet(
        tmp_path / "said.parquet"
    )
    data = Csv(str(toy_csv), transfer_path=str(tmp_path / "more.txt"))
    logits, about = AnswersTeacher(str(tmp_path / "said.parquet")).logits_of(data, "train", own_cache)
    assert np.array_equal(logits[-49::2], said[1::2])
    assert np.isnan(logits[-50::2]).all()
    assert np.isnan(logits[:-50]).all()
    assert about["answered"] == 25


def test_a_label_counts_for_as_much_as_it_agrees_with_gold(
    texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    table = of_train(texts)
    gold = table["label"].copy()
    wrong = range(0, len(table), 5)
    for row in wrong:
        table.loc[row, "label"] = CLASSES[(CLASSES.index(gold[row]) + 1) % 3]
    table.to_csv(tmp_path / "said.csv", index=False)
    odds, about = asked(tmp_path / "said.csv", toy_csv, own_cache)
    right = (len(table) - len(wrong) + 1) / (len(table) + 2)
    said = [CLASSES.index(label) for label in table["label"]]
    assert np.allclose(odds[np.arange(len(table)), said], right, atol=1e-4)
    assert about["confidence"] == round(right, 4)
    assert about["agreement"] == 1 - len(wrong) / len(table)
    given, _ = asked(tmp_path / "said.csv", toy_csv, own_cache, confidence=0.7)
    assert np.allclose(np.sort(given, axis=1)[0], [0.15, 0.15, 0.7])


def test_a_column_says_how_sure_a_label_is(texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path) -> None:
    table = of_train(texts)
    table["confidence"] = np.linspace(0.4, 1, len(table))
    table.to_csv(tmp_path / "said.csv", index=False)
    odds, _ = asked(tmp_path / "said.csv", toy_csv, own_cache)
    assert np.allclose(odds.max(axis=1), table["confidence"].clip(upper=0.99), atol=1e-3)
    table["confidence"] *= 2
    table.to_csv(tmp_path / "said.csv", index=False)
    with pytest.raises(UserError, match=r"column 'confidence': expected numbers from 0 to 1"):
        asked(tmp_path / "said.csv", toy_csv, own_cache)


@pytest.mark.parametrize("as_lists", [True, False])
def test_votes_count_by_their_shares_and_what_is_no_class_is_counted(
    as_lists: bool, texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    table = of_train(texts)
    votes = [["animals", "animals", "food", "no idea"] for _ in table.index]
    given = pd.DataFrame({"text": table["text"], "label": votes})
    (given if as_lists else given.explode("label")).to_parquet(tmp_path / "said.parquet")
    odds, about = asked(tmp_path / "said.parquet", toy_csv, own_cache, confidence=0.9)
    share = [0.9 * vote + 0.05 * (1 - vote) for vote in (2 / 3, 1 / 3, 0)]
    assert np.allclose(odds, share, atol=1e-5)
    assert about["unknown"] == [len(table), "no idea"]


def test_delimiter_and_encoding_are_found_and_an_empty_label_is_none(
    texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    table = of_train(texts)
    table.to_csv(tmp_path / "said.csv", index=False, sep=";", encoding="utf-16")
    assert asked(tmp_path / "said.csv", toy_csv, own_cache)[1]["answered"] == len(table)
    table.loc[::2, "label"] = None
    for path, write in ((tmp_path / "a.parquet", table.to_parquet), (tmp_path / "a.csv", table.to_csv)):
        write(path, index=False)
        about = asked(path, toy_csv, own_cache)[1]
        assert about["answered"] == len(table) // 2
        assert about["unknown"] == [0, ""]


def test_numbers_as_labels_are_those_of_the_data(texts: Texts, own_cache: Cache, tmp_path: Path) -> None:
    table = of_train(texts)
    table["label"] = table["label"].map({name: number for number, name in enumerate(CLASSES)})
    table.to_csv(tmp_path / "numbers.csv", index=False)
    table["label"] = table["label"].astype(float).where(table.index % 2 == 0)
    table.to_parquet(tmp_path / "said.parquet")
    about = asked(tmp_path / "said.parquet", tmp_path / "numbers.csv", own_cache)[1]
    assert about["agreement"] == 1.0
    assert about["unknown"] == [0, ""]


def test_a_row_without_an_answer_is_no_number(texts: Texts, toy_csv: Path, own_cache: Cache, tmp_path: Path) -> None:
    of_train(texts).iloc[::2].to_csv(tmp_path / "said.csv", index=False)
    odds, about = asked(tmp_path / "said.csv", toy_csv, own_cache)
    assert np.array_equal(np.isnan(odds).all(axis=1), np.arange(len(odds)) % 2 == 1)
    assert about["answered"] == -(-len(odds) // 2)
    validation, about = asked(tmp_path / "said.csv", toy_csv, own_cache, "validation")
    assert np.isnan(validation).all()
    assert (about["answered"], about["agreement"]) == (0, None)


@pytest.mark.parametrize(
    ("rows", "options", "told"),
    [
        ({"text": ["other words"], "label": ["food"]}, {}, "got 1 answers, none of them to a text of train"),
        ({"question": ["x"], "label": ["food"]}, {}, r"expected a column 'text'.*teacher\.text_column=NAME"),
        ({"text": ["x"], "food": [1.0]}, {}, r"or one for each class .*without 'animals', 'weather'"),
        ({"text": ["x"], "label": ["Food!"]}, {}, r"the data's classes \('animals', 'food', 'weather'\), got 'Food!'"),
        ({"text": ["x"], "animals": [1.0], "food": [float("nan")], "weather": [0.0]}, {}, "expected a number for each"),
        ({"text": [3], "label": ["food"]}, {}, "column 'text': expected texts, got int"),
    ],
)
def test_what_answers_nothing_is_refused(
    rows: dict[str, Any], options: dict[str, Any], told: str, toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "said.jsonl").write_text(
        "\n".join(json.dumps(row) for row in pd.DataFrame(rows).to_dict("records")), encoding="utf-8"
    )
    with pytest.raises(UserError, match=told):
        asked(tmp_path / "said.jsonl", toy_csv, own_cache, **options)


def test_no_file_and_no_table_are_refused(toy_csv: Path, own_cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a file of answers, got no such file"):
        asked(tmp_path / "none.csv", toy_csv, own_cache)
    (tmp_path / "said.txt").write_text("x", encoding="utf-8")
    with pytest.raises(UserError, match=r"expected a file that ends in \.csv, \.tsv"):
        asked(tmp_path / "said.txt", toy_csv, own_cache)
    (tmp_path / "said.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"expected a table, as \.jsonl"):
        asked(tmp_path / "said.jsonl", toy_csv, own_cache)
