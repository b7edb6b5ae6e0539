"""A teacher's outputs are written part by part, each row at its place, and read by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kd_lab.core.cache import Cache
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import inference
from kd_lab.evaluation.inference import predict, predict_batch, predict_in_parts
from kd_lab.models.base import TorchClassifier
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.training import teacher_outputs
from kd_lab.training.teacher_outputs import logits_of

ON = ("cpu", "32-true")


@pytest.fixture
def model(toy_tokens: Tokens, own_cache: Cache) -> TorchClassifier:
    torch.manual_seed(0)
    sizes = (len(toy_tokens.classes), toy_tokens.vocab_size, toy_tokens.pad_id)
    context = BuildContext(*sizes, toy_tokens.fingerprint, toy_tokens.sentences, own_cache)
    return LstmAttention(embedding=8, hidden=8, layers=1, dropout=0.0, init="random").build(context).eval()


@pytest.mark.parametrize("held", [1, 30, 10_000])
def test_each_row_is_said_once_and_no_more_of_them_are_held_than_is_said(
    held: int, model: TorchClassifier, toy_tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "ROWS", 20)
    monkeypatch.setattr(inference, "_HELD", held)
    split, done = toy_tokens.split("train"), []
    parts = list(predict_in_parts(model, split, toy_tokens.pad_id, *ON, done.append))
    assert max(len(ids) for ids, _ in parts) < held + 20
    assert sum(done) == len(split)
    ids = torch.cat([ids for ids, _ in parts])
    assert ids.sort().values.tolist() == list(range(len(split)))
    whole = predict(model, split, toy_tokens.pad_id, *ON)
    assert torch.equal(torch.cat([logits for _, logits in parts]), whole[ids])
    rows = np.array([3, 100, 7])
    alone = predict_batch(model, BatchLoader(split, 3, toy_tokens.pad_id).batch(rows), *ON)
    assert torch.allclose(whole[rows], alone, atol=1e-6)


def test_the_file_is_the_one_that_numpy_writes_of_all_rows(
    model: TorchClassifier, toy_tokens: Tokens, own_cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_HELD", 30)
    found = logits_of("fit", lambda: model, toy_tokens, "train", ON, own_cache)
    [entry] = (own_cache.root / "outputs").glob("[!.]*")
    np.save(tmp_path / "logits.npy", predict(model, toy_tokens.split("train"), toy_tokens.pad_id, *ON).numpy())
    np.save(tmp_path / "row_ids.npy", np.arange(len(found)))
    for name in ("logits.npy", "row_ids.npy"):
        assert (entry / name).read_bytes() == (tmp_path / name).read_bytes()


def test_of_many_rows_a_sample_says_how_far_they_lie_apart(
    model: TorchClassifier, toy_tokens: Tokens, own_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_outputs, "_SAMPLE", 20)
    right = logits_of("fit", lambda: model, toy_tokens, "train", ON, own_cache)
    teacher_outputs._verified.clear()
    assert torch.equal(logits_of("fit", lambda: model, toy_tokens, "train", ON, own_cache), right)
    assert own_cache.warnings == []
    ids = np.arange(50)
    assert teacher_outputs._counts_up(ids, 50)
    assert not teacher_outputs._counts_up(ids, 49)
    for place in (0, 20, 49):
        assert not teacher_outputs._counts_up(np.where(ids == place, 7 if place else 1, ids), 50)
