"""Static INT8 of an ONNX graph, by ONNX Runtime: the ranges of activations are measured once, on training rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_int8 import float_graph, prepared
from kd_lab.compression.step import need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count
from kd_lab.core.types import Batch
from kd_lab.models.recurrent_attention import RecurrentAttentionClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.serving.onnx_session import feed


@dataclass(frozen=True)
class OnnxInt8Static:
    """Matrices and embeddings as 8-bit integers, activations rounded within ranges that never change.

    Unlike `onnx_int8` no row's logits depend on the rows or the padding beside it. The ranges are the smallest and
    the largest number that each activation took on the calibration rows. ONNX Runtime has no such LSTM.

    Args:
        rows: of train, asked one by one for the ranges.
        per_channel: one scale for each output of a matrix rather than one for the whole.
    """

    int8: ClassVar[bool] = True
    rows: Count = 256
    per_channel: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "compression.onnx_int8_static")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind` or `model`."""
        fitted = model.kind if model is not None else kind  # `kind` may be the graph that a step made of it
        if issubclass(fitted, RecurrentAttentionClassifier):
            raise UserError(
                "compression.onnx_int8_static",
                expected="an encoder, static or cnn: ONNX Runtime has no static INT8 for LSTM and GRU layers",
                got=fitted.__name__,
                cure="Use compression=[onnx_int8].",
            )
        if not issubclass(kind, OnnxClassifier):
            need_torch("onnx_int8_static", kind, "Leave the other quantization out: compression=[onnx_int8_static].")
        return OnnxClassifier

    def apply(self, classifier: Classifier, context: CompressionContext) -> OnnxClassifier:
        """The classifier in INT8; a torch model is exported first.

        Raises:
            UserError: it is INT8 already.
        """
        self.check(type(classifier))
        source = OnnxClassifier(float_graph(classifier, "onnx_int8_static"))
        with prepared(source.model) as graph:
            quantized = graph.with_name("quantized")
            quantize_static(
                str(graph),
                str(quantized),
                _Rows(context.sample(self.rows, 1), source.inputs),
                quant_format=QuantFormat.QDQ,
                per_channel=self.per_channel,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=["MatMul", "Gemm", "Gather"],
                extra_options={"WeightSymmetric": True, "MatMulConstBOnly": True},
            )
            return OnnxClassifier(quantized.read_bytes())


class _Rows(CalibrationDataReader):
    """Rows one by one, as the quantizer asks for them."""

    def __init__(self, batches: Iterable[Batch], inputs: tuple[str, ...]) -> None:
        self._rows = (feed(batch, inputs) for batch in batches)

    def get_next(self) -> dict[str, Any] | None:
        """Input name -> (1, T) int64, or None at the end."""
        return next(self._rows, None)
