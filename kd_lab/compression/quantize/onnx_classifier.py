"""A classifier as an ONNX graph that ONNX Runtime computes on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper

from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.serving.onnx_session import MODEL, OnnxSession, not_ours

_INTEGERS = (TensorProto.INT8, TensorProto.UINT8)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)


class OnnxClassifier:
    """An ONNX graph from `input_ids`, `attention_mask` and, where segments matter, `token_type_ids` to `logits`.

    Runs with as many threads as torch had when it was made. Where the graph quantizes activations, one range serves
    the whole batch: a row's logits then depend a little on the rows beside it.

    Args:
        model: the serialized ModelProto.

    Raises:
        UserError: ONNX Runtime cannot run it, or it has other inputs or outputs.
    """

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._session = OnnxSession(model, threads=torch.get_num_threads())
        self.inputs = self._session.inputs

    def __call__(self, batch: Batch) -> Outputs:
        """Logits (B, C) float32, on the CPU, wherever the batch lies."""
        pieces, mask = batch.input_ids.cpu().numpy(), batch.attention_mask.cpu().numpy()
        segments = None if batch.token_type_ids is None else batch.token_type_ids.cpu().numpy()
        return Outputs(torch.from_numpy(self._session(pieces, mask, segments)))

    def save(self, folder: Path) -> None:
        """Writes model.onnx, which any ONNX runtime can run."""
        (folder / MODEL).write_bytes(self.model)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, cut short or not a classifier's graph.
        """
        path = folder / MODEL
        try:
            return cls(path.read_bytes())
        except OSError as error:
            raise not_ours(error.strerror or str(error), str(path)) from error
        except UserError as error:
            raise not_ours(error.got, str(path)) from error

    @property
    def quantized(self) -> bool:
        """Whether any of its weights are 8-bit integers."""
        return any(
            tensor.data_type in _INTEGERS for tensor in onnx.load_model_from_string(self.model).graph.initializer
        )

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights in the graph, float or 8-bit, but no scales, zero points and other constants.

        A quantized weight counts as zero where it stands for 0.0. Tensors count as often as the graph stores them:
        once where several are equal to the last bit (untrained biases), again where a shared matrix was unrolled.
        """
        counts = [(values.size, np.count_nonzero(values != zero)) for values, zero in self._weights()]
        return sum(size for size, _ in counts), sum(int(nonzero) for _, nonzero in counts)

    def _weights(self) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
        """Every learned tensor with the stored number that stands for 0.0 in it."""
        tensors = {tensor.name: tensor for tensor in onnx.load_model_from_string(self.model).graph.initializer}
        quantized = [name for name in tensors if name.endswith("_quantized")]
        stems = [*quantized, *(name.removesuffix("_quantized") for name in quantized)]  # of biases, of matrices
        extras = {stem + suffix for stem in stems for suffix in ("_scale", "_zero_point")}
        for name, tensor in tensors.items():
            if name in extras or not tensor.dims:  # a learned tensor has at least one axis; -inf and the like have none
                continue
            if tensor.data_type in _FLOATS or (tensor.data_type == onnx.TensorProto.INT32 and name in quantized):
                yield numpy_helper.to_array(tensor), 0
            elif tensor.data_type in _INTEGERS:
                points = numpy_helper.to_array(tensors[name.removesuffix("_quantized") + "_zero_point"])
                yield numpy_helper.to_array(tensor), int(points.flat[0])  # where there are many, all are 0
