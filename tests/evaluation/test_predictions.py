"""What a cell keeps of its answers says which rows they are to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade_cells import cell

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import Split
from kd_lab.data.text_hashes import text_hashes
from kd_lab.data.tokenized import TokenSplit, tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.evaluation.predictions import FILE, save_predictions
from kd_lab.evaluation.selective import Judged
from kd_lab.report.release.gate import _still_there
from kd_lab.report.study import answers

LABELS = np.array([0, 1, 1], np.int64)


class Said:
    """Tokens, as far as these tests ask them."""

    def __init__(self, texts: list[str]) -> None:
        self.test = Split(texts, LABELS)

    def test_texts(self) -> np.ndarray:
        return text_hashes(self.test)

    def split(self, name: str) -> TokenSplit:
        assert name == "test"
        return TokenSplit(np.empty(0, np.int32), np.arange(4), self.test.labels, None)


def kept(folder: Path, texts: list[str], seed: int = 0) -> RunResult:
    one = cell([f"seed={seed}", f"a={texts[0]}"], fingerprint={"tokens": "t"})
    (folder / one.cell).mkdir(parents=True)
    save_predictions(folder / one.cell, one, Said(texts), Judged(LABELS, LABELS, np.ones(3)))  # type: ignore[arg-type]
    assert (folder / one.cell / FILE).is_file()
    return one


def test_equal_labels_of_other_texts_are_other_rows(tmp_path: Path) -> None:
    one, other, again = (
        kept(tmp_path / name, texts, seed)
        for name, texts, seed in (("a", ["x", "y", "z"], 0), ("b", ["x", "y", "w"], 1), ("c", ["x", "y", "z"], 2))
    )
    assert one.fingerprint["test"] == again.fingerprint["test"] != other.fingerprint["test"]
    said = [answers.read_predictions(tmp_path / name, one) for name, one in (("a", one), ("b", other), ("c", again))]
    assert not said[0].same_rows(said[1])
    assert said[0].same_rows(said[2])


def test_the_gate_knows_test_rows_that_are_no_longer_those_that_a_cell_was_judged_on(tmp_path: Path) -> None:
    one = kept(tmp_path, ["x", "y", "z"])
    said = answers.read_predictions(tmp_path, one)
    assert said is not None
    assert _still_there(said, Said(["x", "y", "z"]))  # type: ignore[arg-type]
    assert not _still_there(said, Said(["x", "y", "w"]))  # type: ignore[arg-type]


def test_predictions_whose_texts_are_cut_short_are_one_clear_line(tmp_path: Path) -> None:
    one = kept(tmp_path, ["x", "y", "z"])
    np.savez_compressed(tmp_path / one.cell / FILE, labels=LABELS, predictions=LABELS, texts=np.zeros(2, np.uint64))
    with pytest.raises(UserError, match=r"\(2,\) texts for \(3,\) labels"):
        answers.read_predictions(tmp_path, one)


def test_the_tokens_of_a_data_set_tell_its_test_texts(
    toy_csv: Path, bert_tokenizer: Tokenizer, own_cache: Cache
) -> None:
    data = Csv(str(toy_csv))
    tokens = tokenise(data, bert_tokenizer, own_cache)
    assert tokens.test_texts().tolist() == text_hashes(data.load().splits["test"]).tolist()
