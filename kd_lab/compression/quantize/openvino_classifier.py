"""A classifier as an OpenVINO model that OpenVINO computes on the CPU."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, Literal, Self, get_args

import numpy as np
import torch

from kd_lab.compression.quantize.openvino_package import package
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.serving.onnx_session import INPUTS, LOGITS, feed

MODEL, WEIGHTS, ABOUT = "model.xml", "model.bin", "openvino.json"
Precision = Literal["f32", "bf16"]
_MATRIX_LAYERS = {
    "FullyConnected",
    "MatMul",
    "RNNSeq",
    "RNNCell",
    "ScaledDotProductAttention",
    "QKVProjection",
    "LLMMLP",
}
_EIGHT_BITS = ("i8", "u8")
_FLOATS = ("f32", "f16", "bf16")
_CURE = "Compress the fitted model again, e.g. with compression=[openvino]."


class OpenVinoClassifier:
    """An OpenVINO model from `input_ids`, `attention_mask` and, where segments matter, `token_type_ids` to `logits`.

    Runs with as many threads as torch had when it was made. No range is taken from a batch: what stands beside a row
    and how far it is padded change its logits by rounding alone, if at all. In "bf16" and INT8 a sum that is rounded
    otherwise may fall on the next number of those there are, and that is seen in the second digit.

    Saved as `model.xml` (the graph), `model.bin` (its numbers) and `openvino.json` (the precision).

    Args:
        model: the openvino.Model.
        precision: in which float layers compute. Left to itself, OpenVINO takes bfloat16 wherever the processor has
            it. On a processor without it, "bf16" computes in float32: see `precisions`.

    Raises:
        UserError: OpenVINO is not installed or cannot run the model, or it has other inputs or outputs.
    """

    def __init__(self, model: Any, precision: Precision) -> None:
        self.model = model
        self.precision = precision
        self.inputs = tuple(_name(node) for node in model.inputs)
        outputs = [_name(node) for node in model.outputs]
        if not {*INPUTS[:2]} <= {*self.inputs} <= {*INPUTS} or outputs != [LOGITS]:
            raise _not_ours(f"{', '.join(self.inputs)} -> {', '.join(outputs)}")
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "SNIPPETS_MODE": "DISABLE",  # its fused attention rounds otherwise in other batches, and is no faster
            "ENABLE_CPU_PINNING": False,  # no faster, and cells that run side by side would share the first cores
        }
        try:
            self._compiled = package("openvino").Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise _not_ours(_reason(error)) from error
        self._one_at_a_time = Lock()  # a server asks from several threads; the compiled model has one set of buffers

    def __call__(self, batch: Batch) -> Outputs:
        """Logits (B, C) float32, on the CPU, wherever the batch lies."""
        with self._one_at_a_time:
            return Outputs(torch.from_numpy(self._compiled(feed(batch, self.inputs))[LOGITS]))

    def save(self, folder: Path) -> None:
        """Writes model.xml, model.bin and openvino.json."""
        with TemporaryDirectory(dir=folder) as name:  # what was loaded from this folder still reads its old file
            package("openvino").serialize(self.model, f"{name}/{MODEL}", f"{name}/{WEIGHTS}")
            for file in (MODEL, WEIGHTS):
                os.replace(Path(name) / file, folder / file)
        (folder / ABOUT).write_text(json.dumps({"precision": self.precision}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; the logits are the same to the last bit on the same machine.

        Raises:
            UserError: a file is missing, cut short or not one that `save` wrote, or OpenVINO is not installed.
        """
        try:
            about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
            precision: Any = about.get("precision") if isinstance(about, Mapping) else None
        except (OSError, ValueError) as error:
            raise _not_ours(str(error), str(folder / ABOUT)) from error
        if precision not in get_args(Precision):
            raise _not_ours(f"precision {precision!r}", str(folder / ABOUT))
        try:
            model = package("openvino").Core().read_model(folder / MODEL, folder / WEIGHTS)
            return cls(model, precision)
        except RuntimeError as error:
            raise _not_ours(_reason(error), str(folder / MODEL)) from error
        except UserError as error:
            raise error if error.where != _WHERE else _not_ours(error.got, str(folder / MODEL)) from error

    @property
    def precisions(self) -> dict[str, int]:
        """Precision -> how many of the layers that multiply matrices compute in it on this machine.

        As OpenVINO says after compilation, whatever was asked for: "f32", "bf16", or "int8" for 8-bit products. An
        LSTM is one layer.
        """
        found = Counter(
            about["runtimePrecision"].astype(str)
            for about in (node.get_rt_info() for node in self._compiled.get_runtime_model().get_ops())
            if about["layerType"].astype(str) in _MATRIX_LAYERS
        )
        eight = sum(found.pop(kind, 0) for kind in _EIGHT_BITS)
        return {**dict(sorted(found.items())), **({"int8": eight} if eight else {})}

    def count_parameters(self) -> tuple[int, int]:
        """(all, non-zero) weights in the model, float or 8-bit, but no scales and other constants.

        8-bit weights are symmetric: the integer 0 stands for 0.0. Tensors count as often as the model stores them.
        """
        weights = [node.data for node in self.model.get_ops() if _is_weight(node)]
        return sum(values.size for values in weights), sum(int(np.count_nonzero(values)) for values in weights)


def _is_weight(node: Any) -> bool:
    """Whether the operation is a learned tensor: a constant with at least one axis that is not made for INT8."""
    if node.get_type_name() != "Constant" or not list(node.shape):
        return False
    kind = node.get_element_type().to_string()
    if kind in _EIGHT_BITS:
        return True
    targets = [(target.get_node(), target.get_index()) for target in node.output(0).get_target_inputs()]
    made_for_int8 = node.get_friendly_name().endswith("nncf_smooth_quant/scale") or any(
        (user.get_type_name() == "FakeQuantize" and place > 0)  # the ends of a range
        or (user.get_type_name() == "Multiply" and any(map(_is_integers, user.input_values())))
        for user, place in targets
    )
    return kind in _FLOATS and not made_for_int8


def _is_integers(value: Any) -> bool:
    """Whether the value is 8-bit weights as floats that still lack their scale."""
    node = value.get_node()
    return node.get_type_name() == "Convert" and node.input_value(0).get_element_type().to_string() in _EIGHT_BITS


def _name(node: Any) -> str:
    return str(node.get_any_name()) if node.get_names() else "an input or output without a name"


def _reason(error: RuntimeError) -> str:
    """The last line of what OpenVINO says; those before it name places in its sources."""
    return next((line for line in reversed(str(error).splitlines()) if line.strip()), "an error without a text")


_WHERE = "OpenVINO model"


def _not_ours(got: str, where: str = _WHERE) -> UserError:
    expected = f"a classifier as OpenVINO model, {', '.join(INPUTS[:2])} [, {INPUTS[2]}] -> {LOGITS}"
    return UserError(where, expected=expected, got=got, cure=_CURE)
