"""Turns a torch classifier into an ONNX graph that computes the same in float32."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass

import onnx
import torch
from torch import Tensor, nn

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.quantize.onnx_attention import write_with
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_lstm import OnnxRecurrent, can_replace
from kd_lab.compression.step import need_torch
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch
from kd_lab.models.base import TorchClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.serving.onnx_session import INPUTS, LOGITS


class _Logits(nn.Module):
    """A copy of a classifier as a function from tensors to logits, which is what the exporter takes."""

    def __init__(self, classifier: TorchClassifier, fused: bool) -> None:
        super().__init__()
        self.classifier = copy.deepcopy(classifier).cpu()
        self.classifier.returns = frozenset({"logits"})
        for name, module in list(self.classifier.named_modules()):
            if isinstance(module, nn.LSTM | nn.GRU) and can_replace(module):
                self.classifier.set_submodule(name, OnnxRecurrent(module))
        write_with(self.classifier, fused)
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        unused = input_ids[:, 0]  # (B,) in place of row_ids and labels, which no forward pass reads
        logits: Tensor = self.classifier(Batch(unused, input_ids, attention_mask, unused, token_type_ids)).logits
        return logits


def export(classifier: TorchClassifier, *, fused: bool = False) -> bytes:
    """The classifier in evaluation mode as a serialized ONNX model, float32, for any B >= 1 and T >= 1.

    Its inputs are `onnx_session.INPUTS`, the last only if the classifier says `two_segments`. The longest T is
    the model's own: an encoder has no positions beyond its `max_positions`.

    Args:
        classifier: stays as it was.
        fused: whether an encoder's attention is one operation that only ONNX Runtime has; faster.

    Raises:
        UserError: the exporter can only do it for one number of examples or tokens.
    """
    names = INPUTS if getattr(classifier, "two_segments", False) else INPUTS[:2]
    # an example of 1 row or 1 token would fix that axis; one tensor given twice would make two inputs one
    example = {name: torch.ones(2, 4, dtype=torch.int64) for name in names}
    longest = classifier.config.get("max_position_embeddings")  # None where the model has no positions
    axes = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("tokens", min=1, max=longest)}
    if "token_type_ids" in example:
        example["token_type_ids"].zero_()
    with _silence():
        traced = _trace(_Logits(classifier, fused), example, dict.fromkeys(names, axes), type(classifier).__name__)
        program = torch.onnx.export(
            traced,
            dynamo=True,
            dynamic_shapes={name: {0: "batch", 1: "tokens"} for name in names},
            input_names=list(names),
            output_names=[LOGITS],
            verbose=False,
        )
    assert program is not None  # None is what the exporter gives when it writes a file
    proto = program.model_proto  # each time another copy
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        part.ClearField("metadata_props")  # stack traces, with the paths of this machine
    _keep_residuals(graph)
    serialized: bytes = proto.SerializeToString()
    return serialized


@dataclass(frozen=True)
class OnnxExport:
    """ONNX Runtime with float32 weights: the same numbers, often faster; no smaller."""

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        cure = "Put onnx after the fit or prune_l1, and leave it out beside onnx_int8, which exports by itself."
        need_torch("onnx", kind, cure)
        return OnnxClassifier

    def apply(self, classifier: Classifier, context: CompressionContext | None = None) -> OnnxClassifier:
        """The classifier as `export` writes it."""
        self.check(type(classifier))
        assert isinstance(classifier, TorchClassifier)
        return OnnxClassifier(export(classifier))


def _trace(
    model: _Logits, example: dict[str, Tensor], axes: dict[str, dict[int, torch.export.Dim]], name: str
) -> torch.export.ExportedProgram:
    """The model's operations; left to itself, the ONNX exporter would take a trace that fits one length only."""
    try:
        return torch.export.export(model, (), example, dynamic_shapes=axes, strict=False)
    except Exception as error:  # whatever the model's own code raises when it meets a size without a number
        raise UserError(
            "compression.onnx",
            expected="a model that torch.export can trace for any number of examples and tokens",
            got=f"{name}: {str(error).splitlines()[0]}",
            cure="Use compression=[torch_int8], or write what depends on the length in another way.",
        ) from error


def _keep_residuals(graph: onnx.GraphProto) -> None:
    """Writes what is added right before a LayerNormalization as Sum, which says the same as Add.

    ONNX Runtime 1.31 would turn Add and LayerNormalization into one SkipLayerNormalization, whose CPU kernel takes
    several times as long as the two apart.
    """
    weights = {tensor.name for tensor in graph.initializer}
    made_by = {node.output[0]: node for node in graph.node if node.op_type == "Add" and not weights & {*node.input}}
    for node in graph.node:
        if node.op_type == "LayerNormalization" and node.input[0] in made_by:
            made_by[node.input[0]].op_type = "Sum"


@contextmanager
def _silence() -> Iterator[None]:
    """Keeps the exporter's notices about its own workings from the screen; errors are raised, not printed."""
    logs = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
