"""The lines by which a model's folder is loaded, as its card shows them."""

from __future__ import annotations

from typing import Literal

Kind = Literal["transformers", "onnx", "kd_lab"]  # what loads it, by the hub's name
_TRANSFORMERS = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")  # this folder
model = AutoModelForSequenceClassification.from_pretrained(".").eval()
batch = tokenizer({texts}, padding=True, truncation=True, return_tensors="pt")
with torch.inference_mode():
    probabilities = model(**batch).logits.softmax(-1)
labels = [model.config.id2label[best] for best in probabilities.argmax(-1).tolist()]
print(labels)
"""
_ONNX = """\
import json

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

card = json.load(open("classifier.json", encoding="utf-8"))  # in this folder
tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_truncation(card["max_tokens"])
tokenizer.enable_padding(pad_id=card["pad_id"])
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
rows = tokenizer.encode_batch({texts})
batch = {{
    "input_ids": np.array([row.ids for row in rows]),
    "attention_mask": np.array([row.attention_mask for row in rows]),
    "token_type_ids": np.array([row.type_ids for row in rows]),
}}
(logits,) = session.run(["logits"], {{node.name: batch[node.name] for node in session.get_inputs()}})
odds = np.exp(logits - logits.max(axis=1, keepdims=True))
probabilities = odds / odds.sum(axis=1, keepdims=True)
labels = [card["labels"][best] for best in probabilities.argmax(axis=1)]
print(labels)
"""
_KD_LAB = """\
from pathlib import Path

from kd_lab.serving.text_classifier import TextClassifier

labels, probabilities = TextClassifier(Path(".")).predict({texts})  # this folder
print(labels)
"""
_TRANSFORMERS_SEVERAL = _TRANSFORMERS.replace("import torch\n", "import json\n\nimport torch\n").replace(
    """logits.softmax(-1)
labels = [model.config.id2label[best] for best in probabilities.argmax(-1).tolist()]
""",
    """logits.sigmoid()
card = json.load(open("classifier.json", encoding="utf-8"))  # which has the thresholds
said = probabilities >= torch.tensor(card["thresholds"])
labels = [[name for name, there in zip(card["labels"], row) if there] for row in said.tolist()]
""",
)
_ONNX_SEVERAL = _ONNX.replace(
    """odds = np.exp(logits - logits.max(axis=1, keepdims=True))
probabilities = odds / odds.sum(axis=1, keepdims=True)
labels = [card["labels"][best] for best in probabilities.argmax(axis=1)]
""",
    """probabilities = 1 / (1 + np.exp(-logits))
said = probabilities >= np.array(card["thresholds"])
labels = [[name for name, there in zip(card["labels"], row) if there] for row in said]
""",
)
SNIPPETS: dict[Kind, str] = {"transformers": _TRANSFORMERS, "onnx": _ONNX, "kd_lab": _KD_LAB}
SEVERAL: dict[Kind, str] = {  # of a model that says any number of labels of a text
    "transformers": _TRANSFORMERS_SEVERAL,
    "onnx": _ONNX_SEVERAL,
    "kd_lab": _KD_LAB,
}
SAYS: dict[Kind, str] = {
    "transformers": "With transformers, which needs nothing of kd_lab:",
    "onnx": "With ONNX Runtime and tokenizers, which need neither torch nor kd_lab:",
    "kd_lab": "With kd_lab; no other library knows its layout (`compression=[onnx]` makes a model that needs none):",
}
