"""A classifier that was fitted elsewhere judges as it stands, its outputs in the order of the data's classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints as tiny
import torch

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.data.csv import Csv
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.models import saved_model
from kd_lab.models.lstm_attention import LstmAttentionClassifier
from kd_lab.models.tfidf import TfidfClassifier
from kd_lab.training.ready_teacher import ReadyTeacher

SHUFFLED = ("weather", "animals", "food")
OURS = ("animals", "food", "weather")


def read(teacher: ReadyTeacher, toy_csv: Path, cache: Cache) -> Tokens:
    return tokenise(Csv(str(toy_csv)), teacher.tokenizer, cache)


def answers(teacher: ReadyTeacher, tokens: Tokens, cache: Cache) -> tuple[torch.Tensor, Batch]:
    """Its logits for some rows, and these."""
    asked = BatchLoader(tokens.split("test"), 16, tokens.pad_id).batch(range(16))  # type: ignore[arg-type]
    with torch.no_grad():
        return teacher.prepared(tokens, cache).load()(asked).logits, asked


@pytest.mark.parametrize("family", ["roberta", "distilbert", "mpnet", "deberta-v2"])
def test_shuffled_labels_are_matched_by_name(family: str, toy_csv: Path, own_cache: Cache, tmp_path: Path) -> None:
    theirs = tiny.write(tmp_path / "ready", family, SHUFFLED)
    teacher = ReadyTeacher(str(tmp_path / "ready"), max_tokens=32)
    tokens = read(teacher, toy_csv, own_cache)
    assert tokens.classes == OURS
    logits, asked = answers(teacher, tokens, own_cache)
    with torch.no_grad():
        said = theirs(input_ids=asked.input_ids, attention_mask=asked.attention_mask).logits
    assert torch.allclose(logits, said[:, [1, 2, 0]], atol=1e-4)
    assert said.std(0).min() > 0.01, "rows are told apart"
    assert teacher.prepared(tokens, own_cache).about()["labels"] == "by name"


def test_classes_that_the_data_lacks_are_dropped_and_the_rest_renormalised(
    toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    theirs = tiny.write(tmp_path / "ready", "bert", ("sports", "a", "w", "f"))
    teacher = ReadyTeacher(str(tmp_path / "ready"), labels={"a": "animals", "f": "food", "w": "weather"}, max_tokens=32)
    logits, asked = answers(teacher, read(teacher, toy_csv, own_cache), own_cache)
    with torch.no_grad():
        kept = theirs(input_ids=asked.input_ids, attention_mask=asked.attention_mask).logits.softmax(1)[:, [1, 3, 2]]
    assert torch.allclose(logits.softmax(1), kept / kept.sum(1, keepdim=True), atol=1e-5)


def test_what_kd_lab_saved_is_ready_too(
    toy_tokens: Tokens, own_cache: Cache, tmp_path: Path, toy_csv: Path, bert_tokenizer: Tokenizer
) -> None:
    shape = {
        "vocabulary": toy_tokens.vocab_size,
        "embedding": 4,
        "hidden": 4,
        "layers": 1,
        "dropout": 0.0,
        "classes": 3,
    }
    model = LstmAttentionClassifier({**shape, "pad_id": toy_tokens.pad_id}).eval()
    card = {"labels": SHUFFLED, "max_tokens": 32, "pad_id": toy_tokens.pad_id}
    saved_model.save(model, tmp_path / "lstm", card)
    (tmp_path / "lstm" / "tokenizer.json").write_bytes(bert_tokenizer.path.read_bytes())
    teacher = ReadyTeacher(str(tmp_path / "lstm"), max_tokens=32)
    tokens = read(teacher, toy_csv, own_cache)
    said, asked = answers(teacher, tokens, own_cache)
    with torch.no_grad():
        assert torch.equal(said, model(asked).logits[:, [1, 2, 0]])

    saved_model.save(model, tmp_path / "pairs", {**card, "pairs": True})
    (tmp_path / "pairs" / "tokenizer.json").write_bytes(bert_tokenizer.path.read_bytes())
    of_pairs = ReadyTeacher(str(tmp_path / "pairs"), max_tokens=32)
    with pytest.raises(UserError, match="expected a classifier of single texts, got one of pairs"):
        of_pairs.prepared(tokens, own_cache)


def test_a_saved_row_of_tf_idf_teaches_too(
    toy_csv: Path, own_cache: Cache, tmp_path: Path, bert_tokenizer: Tokenizer
) -> None:
    folder = tmp_path / "tfidf"
    torch.manual_seed(0)
    model = TfidfClassifier({"vocabulary": 30522, "classes": 4, "ngrams": 2, "buckets": 50}).eval()
    saved_model.save(model, folder, {"labels": ["weather", "sports", "food", "animals"], "max_tokens": 32, "pad_id": 0})
    (folder / "tokenizer.json").write_bytes(bert_tokenizer.path.read_bytes())
    teacher = ReadyTeacher(str(folder), labels={name: name for name in OURS}, max_tokens=32)
    tokens = read(teacher, toy_csv, own_cache)
    said, asked = answers(teacher, tokens, own_cache)
    with torch.no_grad():
        assert torch.allclose(said, model(asked).logits[:, [3, 2, 0]], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"id2label": {"0": "up"}, "label2id": {"up": 0}, "problem_type": "regression"}, "got regression"),
        ({"problem_type": "multi_label_classification"}, "got multi_label_classification"),
        ({"id2label": {"0": "x", "1": "y", "2": "z"}}, r"teacher\.path: expected a teacher of the data's 3 classes"),
    ],
)
def test_what_is_no_teacher_of_these_classes_is_refused(
    changes: dict[str, object], told: str, toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    tiny.write(tmp_path / "ready", "bert", OURS)
    tiny.edit_config(tmp_path / "ready", **changes)
    teacher = ReadyTeacher(str(tmp_path / "ready"), max_tokens=32)
    with pytest.raises(UserError, match=told):
        teacher.prepared(read(teacher, toy_csv, own_cache), own_cache)


def test_an_encoder_without_a_head_is_sent_to_where_one_is_fitted(
    toy_csv: Path, own_cache: Cache, tmp_path: Path
) -> None:
    tiny.write(tmp_path / "bare", "roberta")
    teacher = ReadyTeacher(str(tmp_path / "bare"), labels={"LABEL_0": "food"}, max_tokens=32)
    with pytest.raises(UserError, match=r"expected a fitted classifier, with its head, .* teacher=checkpoint"):
        teacher.prepared(read(teacher, toy_csv, own_cache), own_cache)


def test_pickles_are_refused_and_hashes_are_held(toy_csv: Path, own_cache: Cache, tmp_path: Path) -> None:
    tiny.write(tmp_path / "ready", "bert", OURS)
    teacher = ReadyTeacher(str(tmp_path / "ready"), sha256="0" * 64, max_tokens=32)
    tokens = read(teacher, toy_csv, own_cache)
    with pytest.raises(UserError, match="expected SHA-256 0000"):
        teacher.prepared(tokens, own_cache)
    (tmp_path / "ready" / "model.safetensors").rename(tmp_path / "ready" / "pytorch_model.bin")
    with pytest.raises(UserError, match="a pickle"):
        ReadyTeacher(str(tmp_path / "ready"), max_tokens=32).prepared(tokens, own_cache)
