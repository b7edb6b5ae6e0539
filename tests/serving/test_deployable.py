"""A finished cell's model folder loads with transformers, or with ONNX Runtime alone, as its card says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_study import cell
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kd_lab.core import results
from kd_lab.serving.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house number 7"]


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
