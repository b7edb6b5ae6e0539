"""What others than kd_lab need in a model's folder: configs with its labels, and a card that says how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_lab.core import results
from kd_lab.core.formats import ONNX
from kd_lab.core.nested import at
from kd_lab.core.results import RunResult
from kd_lab.data.dataset import MULTI_LABEL
from kd_lab.data.tokenizer_file import TOKENIZER, read_tokenizer
from kd_lab.models import saved_model
from kd_lab.models.base import CONFIG, read_config
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.serving.cascade import SELECTIVE
from kd_lab.serving.label_decisions import THRESHOLDS
from kd_lab.serving.model_card import model_card
from kd_lab.serving.onnx_session import INPUTS, MODEL, OnnxSession
from kd_lab.serving.served import SERVED, Served, served_in
from kd_lab.serving.snippets import Kind

README, TOKENIZER_CONFIG = "README.md", "tokenizer_config.json"
COMPLETED = (saved_model.CARD, CONFIG, TOKENIZER_CONFIG, README)  # files that `complete` may write
_SPECIAL = {  # transformers' names -> what BERT's and RoBERTa's families call them
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def complete(folder: Path, result: RunResult, served: Served | None = None) -> None:
    """Adds what others than kd_lab need: tokenizer_config.json, labels in an encoder's config.json, and README.md.

    classifier.json gets what was measured on validation of the model's sureness, and the run in MLflow. Files are
    replaced whole. Doing it again changes nothing.

    Args:
        folder: the model's.
        result: of its cell.
        served: the run that MLflow serves; None leaves what the folder says of it.

    Raises:
        UserError: the folder is not one that kd_lab saved.
    """
    card = saved_model.read_card(folder)
    kind, inputs = _read(folder, card)
    if kind == "transformers" or (kind == "onnx" and (folder / CONFIG).is_file()):
        labels = [str(label) for label in card["labels"]]
        named: dict[str, Any] = {
            "id2label": dict(enumerate(labels)),
            "label2id": {label: number for number, label in enumerate(labels)},
        }
        if card.get("task") == MULTI_LABEL:
            named["problem_type"] = "multi_label_classification"
        _write(folder / CONFIG, {**read_config(folder), "num_labels": len(labels), **named})
    _write(folder / TOKENIZER_CONFIG, tokenizer_config(folder / TOKENIZER, card, inputs))
    added = {name: at(result.metrics, f"validation.{name}") for name in (SELECTIVE, THRESHOLDS)}
    added[SERVED] = served._asdict() if served else None
    added = {name: value for name, value in added.items() if value and card.get(name) != value}
    text = model_card(result, kind, {**card, **added}, served_in({**card, **added}))
    results.write_atomically(folder / README, text)
    if added:  # last: what says that the run is known is written when all else is
        _write(folder / saved_model.CARD, {**card, **added})


def _read(folder: Path, card: Mapping[str, Any]) -> tuple[Kind, list[str]]:
    """What loads the model, and which arrays it takes."""
    if card["format"] == ONNX:
        return "onnx", list(OnnxSession(folder / MODEL).inputs)
    model = saved_model.load(folder)
    inputs = list(INPUTS if getattr(model, "two_segments", False) else INPUTS[:2])
    return "transformers" if isinstance(model, EncoderClassifier) and model.portable else "kd_lab", inputs


def tokenizer_config(tokenizer: Path, card: Mapping[str, Any], inputs: list[str]) -> dict[str, Any]:
    """What `AutoTokenizer.from_pretrained` needs beside tokenizer.json, which says all else, such as lower case.

    Args:
        card: `pad_id` and `max_tokens` of it are read.
        inputs: names of the arrays that the model takes.
    """
    pieces = read_tokenizer(tokenizer, expected="the tokenizer of the model", cure="Run the cell again.")
    found = {name: [text for text in texts if pieces.token_to_id(text) is not None] for name, texts in _SPECIAL.items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": pieces.id_to_token(card["pad_id"]),
        **{name: texts[0] for name, texts in found.items() if texts},
        "model_max_length": card["max_tokens"],
        "model_input_names": inputs,
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    results.write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
