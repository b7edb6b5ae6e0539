"""Turns a torch classifier into an OpenVINO model with float weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.onnx_export import export
from kd_lab.compression.quantize.openvino_classifier import OpenVinoClassifier, Precision
from kd_lab.compression.quantize.openvino_package import has_bf16, need_package, package
from kd_lab.compression.step import need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec


@dataclass(frozen=True)
class OpenVino:
    """OpenVINO with float32 weights: often faster; no smaller.

    Args:
        precision: "f32" gives the same numbers as torch; "bf16" rounds weights and activations to bfloat16 while it
            computes, for which the processor must have AVX-512 BF16 or AMX.
    """

    precision: Precision = "f32"

    def __post_init__(self) -> None:
        check_fields(self, "compression.openvino")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind` or this machine cannot run it."""
        need_torch("openvino", kind, "Put openvino last, after steps that keep a torch model; it needs no onnx step.")
        need_package("openvino", "compression.openvino")
        if self.precision == "bf16" and not has_bf16():
            raise UserError(
                "compression.openvino.precision",
                expected="a processor with bfloat16 (AVX-512 BF16 or AMX)",
                got="one on which OpenVINO would compute in float32",
                cure="Use compression=[openvino] or compression=[openvino_int8].",
            )
        return OpenVinoClassifier

    def apply(self, classifier: Classifier, context: CompressionContext | None = None) -> OpenVinoClassifier:
        """The classifier in OpenVINO; the precisions in which its layers run here go into the notes."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        made = OpenVinoClassifier(convert(classifier), self.precision)
        if context is not None:
            name = "openvino" if self.precision == "f32" else f"openvino_{self.precision}"
            context.note(name, {"precision": self.precision, "matrix_layers": made.precisions})
        return made


def convert(classifier: TorchClassifier) -> Any:
    """The classifier as an openvino.Model in float32, for any B >= 1 and T >= 1.

    Raises:
        UserError: the exporter can only do it for one number of examples or tokens.
    """
    return package("openvino").Core().read_model(export(classifier))
