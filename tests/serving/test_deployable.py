"""Libraries that know nothing of kd_lab load a finished cell's model folder, as its card says, and answer alike."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from small_study import cell
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from kd_lab.core import results
from kd_lab.serving.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house number 7", "no green song number 1 and more of it", "the song"]


def test_transformers_load_an_encoder_unchanged_and_agree(small_study: Path) -> None:
    folder = cell(small_study, "[]") / "model"
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ours = TextClassifier(folder)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        odds = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.softmax(-1)
    labels, probabilities = ours.predict(TEXTS)
    assert torch.allclose(odds, torch.from_numpy(probabilities).float(), atol=1e-5)
    assert [network.config.id2label[int(best)] for best in odds.argmax(1)] == labels
    assert tokenizer.pad_token_id == ours.pad_id


def test_onnx_needs_onnxruntime_and_tokenizers_alone(small_study: Path) -> None:
    """The very lines that the card shows, in a process of its own."""
    folder = cell(small_study, "[onnx]") / "model"
    (snippet,) = re.findall(r"```python\n(.+?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    alone = "import sys\nassert not {'torch', 'transformers', 'kd_lab', 'onnx'} & set(sys.modules)"
    lines = snippet.replace('["a first text", "another"]', repr(TEXTS)) + "print(json.dumps(probabilities.tolist()))\n"
    done = subprocess.run(
        [sys.executable, "-c", lines + alone], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    labels, probabilities = TextClassifier(folder).predict(TEXTS)
    said = done.stdout.splitlines()
    assert said[0] == str(labels)
    assert json.loads(said[1]) == [pytest.approx(list(row), abs=1e-5) for row in probabilities]


@pytest.mark.parametrize("compression", ["[onnx]", "[onnx_int8]", "[]"])
def test_autoconfig_reads_the_labels_and_the_shape(compression: str, small_study: Path) -> None:
    folder = cell(small_study, compression) / "model"
    config = AutoConfig.from_pretrained(folder)
    assert config.model_type == "distilbert"
    assert config.id2label == {0: "a", 1: "b", 2: "c"}
    assert config.label2id == {"a": 0, "b": 1, "c": 2}
    assert config.num_labels == 3
    assert (config.n_layers, config.dim, config.n_heads, config.hidden_dim) == (2, 32, 4, 48)
    assert config.architectures == ["DistilBertForSequenceClassification"]
    longest = cell(small_study, "[]") / "model" / "config.json"
    assert config.max_position_embeddings == json.loads(longest.read_text())["max_position_embeddings"]
    assert config.vocab_size == Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    assert config.pad_token_id == json.loads((folder / "classifier.json").read_text())["pad_id"]


@pytest.mark.parametrize("compression", ["[onnx]", "[onnx_int8]"])
def test_onnxruntime_with_transformers_tokenizer_and_config_says_what_predict_says(
    compression: str, small_study: Path
) -> None:
    """As Optimum does it: the config's labels, the tokenizer's inputs, the graph at the folder's top."""
    folder = cell(small_study, compression) / "model"
    labels = AutoConfig.from_pretrained(folder).id2label
    tokenizer = AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    asked = [dict(tokenizer([text], return_tensors="np")) for text in TEXTS]
    assert {*asked[0]} == {node.name for node in session.get_inputs()}
    best = [int(session.run(["logits"], one)[0].argmax()) for one in asked]
    ours, _ = TextClassifier(folder).predict(TEXTS, batch_size=1)  # the INT8 of a batch depends on it
    assert [labels[number] for number in best] == ours


@pytest.mark.parametrize("compression", ["[]", "[onnx_int8]", "[trim_vocabulary,prune_heads]"])
def test_the_card_says_what_was_measured(compression: str, small_study: Path) -> None:
    folder = cell(small_study, compression)
    card, result = (folder / "model" / "README.md").read_text(encoding="utf-8"), results.read(folder)
    assert f"{100 * result.metrics['test']['accuracy']:.2f} %" in card
    assert f"{result.cost['size_mib']:.2f} MiB" in card
    assert all(step in card for step in result.config["compression"])
    assert all(override in card for override in result.overrides)
    assert ("from_pretrained" in card) == (compression == "[]")


def test_completing_the_folder_leaves_the_cache_as_it_was(small_study: Path) -> None:
    (config,) = {
        path
        for path in (small_study.parents[1] / "cache" / "fit").glob("*/model/config.json")
        if "distilbert" in path.read_text()
    }
    assert "id2label" not in config.read_text()
    assert "id2label" in (cell(small_study, "[]") / "model" / "config.json").read_text()
