"""A saved ONNX classifier as a function of arrays; needs neither torch nor onnx, so that it is ready at once."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kd_lab.core import cores
from kd_lab.core.errors import UserError
from kd_lab.core.reading import in_one_line
from kd_lab.core.types import Batch

MODEL = "model.onnx"
INPUTS = ("input_ids", "attention_mask", "token_type_ids")  # each (B, T) int64; the last only where segments matter
_OUTSIDE = "session.model_external_initializers_file_folder_path"  # a file beside the graph is never read: it is whole
LOGITS = "logits"  # the output, (B, C) float32
_OUTPUTS = [LOGITS]


class OnnxSession:
    """A graph from `INPUTS` to `LOGITS` that ONNX Runtime computes on the CPU.

    Args:
        model: the serialized ModelProto, or the file that holds it.
        threads: that compute one answer; None takes OMP_NUM_THREADS, as torch does, else all cores that it may use.

    Raises:
        UserError: ONNX Runtime cannot run it, such as one that was cut short, or it has other inputs or outputs.
    """

    def __init__(self, model: bytes | Path, threads: int | None = None) -> None:
        import onnxruntime

        where = str(model) if isinstance(model, Path) else "ONNX model"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or _threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is an error to it is raised, and need not be printed too
        options.add_session_config_entry(_OUTSIDE, os.devnull)
        try:
            serialized = model.read_bytes() if isinstance(model, Path) else model
            self._session = onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise not_ours(error.strerror or str(error), where) from error
        except Exception as error:  # its errors share no other base
            raise not_ours(in_one_line(error), where) from error
        self.inputs = tuple(node.name for node in self._session.get_inputs())
        outputs = [node.name for node in self._session.get_outputs()]
        self._segments = INPUTS[2] in self.inputs
        if not {*INPUTS[:2]} <= {*self.inputs} <= {*INPUTS} or outputs != [LOGITS]:
            raise not_ours(f"{', '.join(self.inputs)} -> {', '.join(outputs)}", where)

    def __call__(
        self, pieces: NDArray[np.int64], mask: NDArray[np.int64], segments: NDArray[np.int64] | None
    ) -> NDArray[np.float32]:
        """Logits (B, C) of word pieces, mask and segments, (B, T) each; without segments all are of the first text."""
        feed = {INPUTS[0]: pieces, INPUTS[1]: mask}  # of the smallest models this takes as long as their arithmetic
        if self._segments:
            feed[INPUTS[2]] = np.zeros_like(pieces) if segments is None else segments
        logits: NDArray[np.float32] = self._session.run(_OUTPUTS, feed)[0]
        return logits


def feed(batch: Batch, inputs: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    """The batch as a graph with these inputs takes it: name of an input -> (B, T) int64."""
    segments = batch.input_ids * 0 if batch.token_type_ids is None else batch.token_type_ids
    given = zip(INPUTS, (batch.input_ids, batch.attention_mask, segments), strict=True)
    return {name: tensor.cpu().numpy() for name, tensor in given if name in inputs}


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return cores.usable()


def not_ours(got: str, where: str) -> UserError:
    """What is said of a graph that is no classifier of kd_lab's, found at `where`."""
    return UserError(
        where,
        expected=f"a classifier as ONNX graph, {', '.join(INPUTS[:2])} [, {INPUTS[2]}] -> {LOGITS}",
        got=got,
        cure="Compress or export the fitted model again, e.g. with compression=[onnx_int8].",
    )
