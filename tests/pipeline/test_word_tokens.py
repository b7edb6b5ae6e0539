"""`tokenizer=words`: a student of whole words beside a teacher of word pieces, from the fit to raw text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import kd_lab
from kd_lab.__main__ import command
from kd_lab.core import results

QUICK = (
    *("dataset=csv", "dataset.path=toy.csv", "tracking=none", "evaluation=none", "loss=logit_mse", "tokenizer=words"),
    *("model=lstm_attention", "model.hidden=8", "model.embedding=8", "trainer.max_epochs=1", "trainer.device=cpu"),
    *("teacher.trainer.max_epochs=1", "teacher.model.init=random", "tokenizer.max_tokens=16", "name=words"),
)


@pytest.fixture(autouse=True)
def here(toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_csv.parent)


def test_a_student_of_words_learns_from_a_teacher_of_pieces_and_answers_raw_text() -> None:
    assert command([*QUICK, "compression=[onnx_int8]"]) == 0
    [cell] = results.collect(Path("multirun", "words"))
    assert cell.status == "finished"
    assert set(cell.fidelity) == {"agreement", "kl"}
    folder = Path("multirun", "words", cell.cell, "model")
    texts = pd.read_csv("toy.csv")["text"].tolist()
    model = kd_lab.load(folder)
    assert set(model.predict(texts[:5])[0]) <= set(model.labels)
    assert command(["predict", "--model", str(folder), texts[0]]) == 0


def test_words_are_not_trimmed_into_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*QUICK, "compression=[trim_vocabulary]"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "compression.trim_vocabulary: expected word pieces, got tokenizer=words" in said
    assert "keep fewer words by tokenizer.words=N" in said
    assert not Path("multirun", "words").exists()
