"""Writes an LSTM into an ONNX graph as ONNX's own LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OnnxLstm(nn.Module):
    """Stands in for an `nn.LSTM` during export; computes nothing by itself.

    The exporter's own translation (torch 2.13) fixes T to the example's and cuts the weights into slices, which the
    quantizer does not recognise as weights.

    Args:
        lstm: one that `can_replace` accepts.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.width = lstm.hidden_size
        self.weights = nn.ParameterList()
        for layer in range(lstm.num_layers):
            names = (f"weight_ih_l{layer}", f"weight_hh_l{layer}", f"bias_ih_l{layer}", f"bias_hh_l{layer}")
            inputs, states, input_bias, state_bias = (_reorder(getattr(lstm, name).detach()) for name in names)
            # the axis in front counts directions
            self.weights.extend([inputs[None], states[None], torch.cat([input_bias, state_bias])[None]])

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """(B, T, inputs) to the last layer's states (B, T, H); there is no final state."""
        rows, tokens = inputs.shape[:2]
        states = inputs.transpose(0, 1)
        for start in range(0, len(self.weights), 3):
            states = torch.onnx.ops.symbolic(
                "LSTM",
                (states, *self.weights[start : start + 3]),
                {"hidden_size": self.width},
                dtype=torch.float32,
                shape=(tokens, 1, rows, self.width),
            ).squeeze(1)
        return states.transpose(0, 1), None


def can_replace(module: nn.Module) -> bool:
    """Whether `module` is an LSTM from left to right over (B, T, inputs), with biases and without projection."""
    return (
        isinstance(module, nn.LSTM)
        and module.batch_first
        and module.bias
        and not module.bidirectional
        and module.proj_size == 0
    )


def _reorder(gates: Tensor) -> Tensor:
    """(4H, ...) from torch's order (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    enter, forget, cell, leave = gates.chunk(4)
    return torch.cat([enter, leave, forget, cell])
