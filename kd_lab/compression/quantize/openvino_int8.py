"""Static INT8 in OpenVINO, by NNCF."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.openvino import convert
from kd_lab.compression.quantize.openvino_classifier import OpenVinoClassifier
from kd_lab.compression.quantize.openvino_package import need_package, package
from kd_lab.compression.step import need_torch
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.serving.onnx_session import feed

_KEPT_FLOAT = (
    "LSTMSequence",  # NNCF 3.4 quantizes half of its weights, and that cost 18 points on CLINC150
    "GRUSequence",
)


@dataclass(frozen=True)
class OpenVinoInt8:
    """Linear layers, attention and embeddings in INT8, about a quarter of an encoder's size; LSTM layers stay float32.

    Weights are symmetric, so that a pruned weight stays zero, with one scale for each output of a matrix and each
    row of an embedding. The ranges of activations are fixed, from rows of train, whatever stands beside a row.
    SmoothQuant (Xiao et al., arXiv:2211.10438) moves outliers of activations into the weights beforehand, and biases
    are corrected for the mean error afterwards (Nagel et al., arXiv:1906.04721, section 4.2).

    Args:
        rows: of train, drawn at random, that the ranges are taken from; all of them where there are fewer.
    """

    rows: Count = 256

    def __post_init__(self) -> None:
        check_fields(self, "compression.openvino_int8")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind` or a package is missing."""
        cure = "Put openvino_int8 last, after steps that keep a torch model; it needs neither openvino nor onnx."
        need_torch("openvino_int8", kind, cure)
        for name in ("openvino", "nncf"):
            need_package(name, "compression.openvino_int8")
        return OpenVinoClassifier

    def apply(self, classifier: Classifier, context: CompressionContext) -> OpenVinoClassifier:
        """The classifier in INT8; the precisions in which its layers run here go into the notes."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        model = convert(classifier)
        inputs = tuple(node.get_any_name() for node in model.inputs)
        # one row a time: padding is then in no range
        sample = [feed(batch, inputs) for batch in context.sample(self.rows, 1)]
        made = OpenVinoClassifier(_quantize(model, sample), "f32")
        context.note("openvino_int8", {"rows": len(sample), "matrix_layers": made.precisions})
        return made


def _quantize(model: Any, sample: list[dict[str, Any]]) -> Any:
    """The model with INT8 weights and ranges of activations; the one that was given stays as it was."""
    nncf = package("nncf")
    nncf.set_log_level(logging.ERROR)
    with redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(
            model,
            nncf.Dataset(sample),
            subset_size=len(sample),
            model_type=nncf.ModelType.TRANSFORMER,
            ignored_scope=nncf.IgnoredScope(types=list(_KEPT_FLOAT), validate=False),
        )
