"""Weights and arithmetic in bfloat16, within torch."""

from __future__ import annotations

from dataclasses import dataclass

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.torch_bf16_classifier import TorchBf16Classifier
from kd_lab.compression.step import need_torch
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec


@dataclass(frozen=True)
class TorchBf16:
    """Half the file and half the memory; needs no data and hardly changes what is predicted.

    Faster where the processor multiplies bfloat16 itself (AVX512-BF16, AMX, Arm's BF16; `lscpu` names them), all the
    more for long inputs and large batches; elsewhere slower, since torch then takes detours.
    """

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        cure = "Put torch_bf16 last and leave other quantization out: compression=[prune_l1,torch_bf16]."
        need_torch("torch_bf16", kind, cure)
        return TorchBf16Classifier

    def apply(self, classifier: Classifier, context: CompressionContext | None = None) -> TorchBf16Classifier:
        """The classifier in bfloat16."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        return TorchBf16Classifier(classifier)
