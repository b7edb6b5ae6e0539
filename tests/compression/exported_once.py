"""Exports the same model once: tests of compression build it from the same seed again and again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from kd_lab.compression.quantize import onnx_export, onnx_int8, openvino
from kd_lab.models.base import TorchClassifier

EXPORT = onnx_export.export


def keep() -> dict[str, bytes]:
    """From now on in this process.

    Returns:
        all that was exported; what is taken out is made anew.
    """
    kept: dict[str, bytes] = {}

    def export(classifier: TorchClassifier, **options: Any) -> bytes:
        digest = hashlib.sha256(json.dumps([classifier.config, options], sort_keys=True).encode())
        digest.update(f"{type(classifier)} {getattr(classifier, 'two_segments', False)}".encode())
        for name, weight in classifier.state_dict().items():
            digest.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
        name = digest.hexdigest()
        if name not in kept:
            kept[name] = EXPORT(classifier, **options)
        return kept[name]

    for module in (onnx_export, onnx_int8, openvino):
        module.export = export  # type: ignore[attr-defined]
    return kept
