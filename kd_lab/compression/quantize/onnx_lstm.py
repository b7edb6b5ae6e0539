"""Writes LSTM and GRU layers into an ONNX graph as ONNX's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class OnnxRecurrent(nn.Module):
    """Stands in for an `nn.LSTM` or `nn.GRU` during export; computes nothing by itself.

    The exporter's own translation (torch 2.13) fixes T to the example's and cuts the weights into slices, which the
    quantizer does not recognise as weights. In both directions ONNX's own is told each row's length, so that the one
    from right to left starts at the row's last token.

    Args:
        layers: of a kind that `can_replace` accepts.
    """

    def __init__(self, layers: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.kind = "LSTM" if isinstance(layers, nn.LSTM) else "GRU"
        self.width = layers.hidden_size
        self.takes_lengths = layers.bidirectional
        self.weights = nn.ParameterList()
        for layer in range(layers.num_layers):
            ways = ("", "_reverse") if layers.bidirectional else ("",)
            found = [_weights(layers, self.kind, f"l{layer}{way}") for way in ways]
            self.weights.extend(torch.stack(part) for part in zip(*found, strict=True))  # in front: the directions

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, None]:
        """(B, T, inputs) to the last layer's states (B, T, H) or, both ways, (B, T, 2H); there is no final state.

        Args:
            lengths: (B,), tokens in each row; both ways alone.
        """
        if self.takes_lengths and lengths is None:
            raise ValueError("layers that read both ways must be told each row's length")
        rows, tokens = inputs.shape[:2]
        directions = 1 if lengths is None else 2
        states = inputs.transpose(0, 1)
        ends: tuple[Tensor, ...] = () if lengths is None else (lengths.to(torch.int32),)
        options: dict[str, Any] = {"hidden_size": self.width}
        options |= {} if lengths is None else {"direction": "bidirectional"}
        options |= {"linear_before_reset": 1} if self.kind == "GRU" else {}
        for start in range(0, len(self.weights), 3):
            found = torch.onnx.ops.symbolic(
                self.kind,
                (states, *self.weights[start : start + 3], *ends),
                options,
                dtype=torch.float32,
                shape=(tokens, directions, rows, self.width),
            )
            states = found.squeeze(1) if lengths is None else found.transpose(1, 2).flatten(2)
        return states.transpose(0, 1), None


def can_replace(module: nn.Module) -> bool:
    """Whether `module` is an LSTM or GRU over (B, T, inputs), with biases and without projection.

    Those of kd_lab's own students say how long each row is where they read both ways.
    """
    return isinstance(module, nn.LSTM | nn.GRU) and module.batch_first and bool(module.bias) and module.proj_size == 0


def _weights(layers: nn.Module, kind: str, suffix: str) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs' matrix, states' matrix, both biases in one) of a layer and direction, in ONNX's order of gates."""
    inputs, states, *biases = (
        _reorder(getattr(layers, f"{name}_{suffix}").detach(), kind)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return inputs, states, torch.cat(biases)


def _reorder(gates: Tensor, kind: str) -> Tensor:
    """(gates * H, ...) from torch's order to ONNX's.

    LSTM: (input, forget, cell, output) to (input, output, forget, cell). GRU: (reset, update, new) to (update, reset,
    new).
    """
    if kind == "LSTM":
        enter, forget, cell, leave = gates.chunk(4)
        return torch.cat([enter, leave, forget, cell])
    reset, update, new = gates.chunk(3)
    return torch.cat([update, reset, new])
