"""Libraries that know nothing of kd_lab load its folders, and say what `kd-lab predict` says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import tokenizers
import transformers
from small_study import cell

from kd_lab.__main__ import command

TEXTS = ["the old cat number 3", "a red house number 7", "no green song number 1 and more of it", "the song"]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[Path], list[str]]:
    """The labels of `kd-lab predict`, one text a time: the INT8 of a batch depends on it."""

    def said(folder: Path) -> list[str]:
        assert command(["predict", "--model", str(folder), "--batch-size", "1", *TEXTS]) == 0
        rows = csv.DictReader(io.StringIO(capsys.readouterr().out), delimiter="\t")
        return [row["label"] for row in rows]

    return said


@pytest.mark.parametrize("compression", ["[onnx]", "[onnx_int8]", "[]"])
def test_autoconfig_reads_the_labels_and_the_shape(compression: str, small_study: Path) -> None:
    folder = cell(small_study, compression) / "model"
    config = transformers.AutoConfig.from_pretrained(folder)
    assert config.model_type == "distilbert"
    assert config.id2label == {0: "a", 1: "b", 2: "c"}
    assert config.label2id == {"a": 0, "b": 1, "c": 2}
    assert config.num_labels == 3
    assert (config.n_layers, config.dim, config.n_heads, config.hidden_dim) == (2, 32, 4, 48)
    assert config.architectures == ["DistilBertForSequenceClassification"]
    longest = cell(small_study, "[]") / "model" / "config.json"
    assert config.max_position_embeddings == json.loads(longest.read_text())["max_position_embeddings"]
    assert config.vocab_size == tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    assert config.pad_token_id == json.loads((folder / "classifier.json").read_text())["pad_id"]


@pytest.mark.parametrize("compression", ["[onnx]", "[onnx_int8]"])
def test_onnxruntime_with_transformers_tokenizer_and_config_says_what_predict_says(
    compression: str, small_study: Path, said: Callable[[Path], list[str]]
) -> None:
    """As Optimum does it: the config's labels, the tokenizer's inputs, the graph at the folder's top."""
    folder = cell(small_study, compression) / "model"
    labels = transformers.AutoConfig.from_pretrained(folder).id2label
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    asked = [dict(tokenizer([text], return_tensors="np")) for text in TEXTS]
    assert {*asked[0]} == {node.name for node in session.get_inputs()}
    best = [int(session.run(["logits"], one)[0].argmax()) for one in asked]
    assert [labels[number] for number in best] == said(folder)
