"""A column of texts on disk reads like a list of the same texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kd_lab.data import stored_texts
from kd_lab.data.dataset import Split
from kd_lab.data.stored_texts import StoredTexts, TextStore, take, texts_stored_in

TEXTS = ["one", "", "zwölf 🙂", "a\nline\x00", "北京", "last"]


def stored(*parts: list[str]) -> StoredTexts:
    store = TextStore()
    for part in parts:
        store.extend(part)
    return store.texts()


@pytest.mark.parametrize("block", [1, 2, 4096])
def test_it_reads_like_a_list(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_texts, "_BLOCK", block)
    found = stored(TEXTS[:2], [], TEXTS[2:])
    assert len(found) == 6
    assert list(found) == TEXTS
    assert [found[row] for row in range(-6, 6)] == TEXTS + TEXTS
    assert found[1:4] == TEXTS[1:4]
    assert found[::-2] == TEXTS[::-2]
    assert found[4:4] == []
    assert found == TEXTS
    assert found != TEXTS[::-1]
    with pytest.raises(IndexError):
        found[6]


def test_one_without_texts_is_empty() -> None:
    assert list(stored()) == []
    assert not stored([])


@pytest.mark.parametrize("gap", [0, 2**20], ids=["one by one", "in one go"])
def test_rows_are_taken_in_any_order_and_stay_on_disk(gap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_texts, "_GAP", gap)
    rows = np.array([5, 0, 2, 2])
    found = take(stored(TEXTS), rows)
    assert isinstance(found, StoredTexts)
    assert list(found) == ["last", "one", TEXTS[2], TEXTS[2]] == take(TEXTS, rows)
    assert list(found.take(np.array([3, 1]))) == [TEXTS[2], "one"]


def test_a_split_takes_rows_of_both_its_columns() -> None:
    split = Split(stored(TEXTS), np.arange(6), stored(TEXTS[::-1]))
    found = split.take(np.array([4, 1]))
    assert (found.texts, found.labels.tolist(), found.pairs) == (["北京", ""], [4, 1], ["", "北京"])


def test_texts_lie_where_it_is_said_and_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    with texts_stored_in(tmp_path):
        found = stored(TEXTS)
    assert found == TEXTS
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):  # where temporary files lie, as nothing else is said any more
        stored(TEXTS)
