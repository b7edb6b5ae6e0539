"""The names by which saved models say what they are. A class may move; the format that its folders carry stays.

A format ends in a number, which rises when what is saved changes so that an older kd_lab could not read it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kd_lab.core.errors import UserError

# Format -> the class that reads and writes it, where it lies now.
FORMATS = {
    "cnn/1": "kd_lab.models.cnn.CnnClassifier",
    "encoder/1": "kd_lab.models.encoder.EncoderClassifier",
    "gru_attention/1": "kd_lab.models.gru_attention.GruAttentionClassifier",
    "lstm_attention/1": "kd_lab.models.lstm_attention.LstmAttentionClassifier",
    "onnx/1": "kd_lab.compression.quantize.onnx_classifier.OnnxClassifier",
    "openvino/1": "kd_lab.compression.quantize.openvino_classifier.OpenVinoClassifier",
    "sparse/1": "kd_lab.compression.prune.sparse_classifier.SparseClassifier",
    "static/1": "kd_lab.models.static.StaticClassifier",
    "tfidf/1": "kd_lab.models.tfidf.TfidfClassifier",
    "torch_bf16/1": "kd_lab.compression.quantize.torch_bf16_classifier.TorchBf16Classifier",
    "torch_int8/1": "kd_lab.compression.quantize.torch_int8_classifier.TorchInt8Classifier",
}
ONNX = "onnx/1"  # what ONNX Runtime alone can read
FORMERLY = {  # what folders that were saved before there were formats say instead
    "kd_lab.models.encoder.EncoderClassifier": "encoder/1",
    "kd_lab.models.lstm_attention.LstmAttentionClassifier": "lstm_attention/1",
    "kd_lab.compression.onnx_classifier.OnnxClassifier": "onnx/1",
    "kd_lab.compression.openvino_classifier.OpenVinoClassifier": "openvino/1",
    "kd_lab.compression.sparse_classifier.SparseClassifier": "sparse/1",
    "kd_lab.compression.torch_bf16_classifier.TorchBf16Classifier": "torch_bf16/1",
    "kd_lab.compression.torch_int8_classifier.TorchInt8Classifier": "torch_int8/1",
}
_OF_CLASS = {target: name for name, target in FORMATS.items()}


def format_of(kind: type) -> str:
    """The format in which a class saves.

    Raises:
        KeyError: it has none: add it to `FORMATS`.
    """
    return _OF_CLASS[f"{kind.__module__}.{kind.__qualname__}"]


def check_saved(kind: Any, where: str) -> None:
    """Refuses a classifier that could not be loaded again: a folder's format names one of kd_lab's own classes.

    Raises:
        UserError: the class, which would be the one saved, has no format; a subclass of one that has would be lost.
    """
    name = f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else repr(kind)[:100]
    if name not in _OF_CLASS:
        known = ", ".join(target.rpartition(".")[2] for target in _OF_CLASS)
        cure = "Build one of these, or put the class into kd_lab/ with a line in core/formats.py: see CONTRIBUTING.md."
        raise UserError(where, expected=f"a classifier that can be saved and loaded: {known}", got=name, cure=cure)


def known_format(name: Any) -> str | None:
    """The format of that name, or that an older kd_lab called so; None where there is none."""
    if not isinstance(name, str):  # what a damaged file says
        return None
    return name if name in FORMATS else FORMERLY.get(name)


def module_of(name: str) -> str:
    """The module in which the class of a format lies."""
    return FORMATS[name].rpartition(".")[0]


def class_of(name: str) -> Any:
    """The class of a format."""
    return getattr(import_module(module_of(name)), FORMATS[name].rpartition(".")[2])
