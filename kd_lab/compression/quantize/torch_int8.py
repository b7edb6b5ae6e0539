"""Dynamic INT8 within torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.torch_int8_classifier import TorchInt8Classifier, check_engine
from kd_lab.compression.step import need_torch
from kd_lab.core.option_types import Engine
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec


@dataclass(frozen=True)
class TorchInt8:
    """Dynamic INT8 of linear and LSTM layers by `torch.ao.quantization`; needs no data.

    Args:
        engine: the kernels: "x86", "onednn" (faster on long inputs), "fbgemm" or "qnnpack"; None takes the
            machine's own. What is saved runs only where this engine exists.
    """

    engine: Engine | None = None

    def __post_init__(self) -> None:
        if self.engine is not None:
            check_engine("compression.torch_int8.engine", self.engine)

    def fingerprint_parts(self) -> dict[str, str]:
        """The kernels by name, those of the machine too: another engine makes another model."""
        return {"engine": self.engine or torch.backends.quantized.engine}

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        need_torch("torch_int8", kind, "Put torch_int8 right after the fit or after prune_l1, without any onnx step.")
        return TorchInt8Classifier

    def apply(self, classifier: Classifier, context: CompressionContext | None = None) -> TorchInt8Classifier:
        """The classifier with INT8 layers."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        return TorchInt8Classifier(classifier, self.engine or torch.backends.quantized.engine)
