"""Dynamic INT8 of an ONNX graph, by ONNX Runtime."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_export import export
from kd_lab.compression.step import need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec


@dataclass(frozen=True)
class OnnxInt8:
    """Matrices, LSTM weights and embeddings as 8-bit integers, about a quarter of the size; needs no data.

    Matrices and LSTM weights are symmetric, so that a pruned weight stays zero. Embeddings are not: there the stored
    number that stands for 0.0 is some other one. Activations are quantized while it runs.

    Args:
        per_channel: one scale for each output of a matrix rather than one for the whole: weights closer to float, a
            little slower. Embeddings have one scale either way.
    """

    int8: ClassVar[bool] = True
    per_channel: bool = True

    def __post_init__(self) -> None:
        check_fields(self, "compression.onnx_int8")

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        if not issubclass(kind, OnnxClassifier):
            name = "onnx_int8" if self.per_channel else "onnx_int8_per_tensor"
            need_torch(name, kind, f"Leave the other quantization out, e.g. compression=[prune_l1,{name}].")
        return OnnxClassifier

    def apply(self, classifier: Classifier, context: CompressionContext | None = None) -> OnnxClassifier:
        """The classifier in INT8; a torch model is exported first.

        Raises:
            UserError: it is INT8 already.
        """
        self.check(type(classifier))
        with prepared(float_graph(classifier, "onnx_int8", fused=True)) as graph:
            quantized = graph.with_name("quantized")
            quantize_dynamic(str(graph), str(quantized), per_channel=self.per_channel, weight_type=QuantType.QInt8)
            return OnnxClassifier(quantized.read_bytes())


def float_graph(classifier: Classifier, step: str, *, fused: bool = False) -> bytes:
    """The classifier as an ONNX graph of float weights; a torch model is exported first.

    Args:
        step: that asks, for the error.
        fused: see `export`; on short texts a tenth faster, but logits then depend a little on padding.

    Raises:
        UserError: it is INT8 already.
    """
    if not isinstance(classifier, OnnxClassifier):
        assert isinstance(classifier, TorchClassifier)
        return export(classifier, fused=fused)
    if classifier.quantized:
        raise UserError(
            f"compression.{step}",
            expected="a model with float weights",
            got="an ONNX model that is INT8 already",
            cure=f"Apply one INT8 step, once, as the last, e.g. compression=[prune_l1,{step}].",
        )
    return classifier.model


@contextmanager
def prepared(model: bytes) -> Iterator[Path]:
    """The graph in a file of a folder that lasts as long as the block, ready for ONNX Runtime's quantizer.

    What stands between a weight and its use is folded: the quantizer would not find the weight. Meanwhile the
    quantizer's advice is kept from the screen.
    """
    with TemporaryDirectory() as name, _silence():
        exported, ready = Path(name, "exported"), Path(name, "prepared")
        exported.write_bytes(_without_stale_shapes(model))
        quant_pre_process(str(exported), str(ready), skip_symbolic_shape=True)
        yield ready


def _without_stale_shapes(model: bytes) -> bytes:
    """The model without shapes noted for its weights: quantization transposes some (onnxruntime#25890)."""
    proto = onnx.load_model_from_string(model)
    weights = {tensor.name for tensor in proto.graph.initializer}
    kept = [note for note in proto.graph.value_info if note.name not in weights]
    proto.graph.ClearField("value_info")
    proto.graph.value_info.extend(kept)
    serialized: bytes = proto.SerializeToString()
    return serialized


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the advice that the quantizer gives to the root logger from the screen."""
    log = logging.getLogger()
    log.addFilter(_is_error)
    try:
        yield
    finally:
        log.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR
