"""Removes the hidden units of an LSTM student that matter least."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.importance import labelled, most_important, share_kept, taylor_of_columns
from kd_lab.compression.options import count_of, need_kind
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Epochs, RateShare, ShareKept
from kd_lab.models.base import TorchClassifier
from kd_lab.models.lstm_attention import LstmAttentionClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.models.surgery import keep_inputs, keep_outputs, reshape

_WHERE = "compression.prune_lstm"


@dataclass(frozen=True)
class PruneLstm:
    """Structured pruning of LSTM and attention units by first-order importance (Molchanov et al., 1611.06440, 2.2).

    Every layer, and the attention's tanh, keeps the same number, chosen for itself: the result is an ordinary
    student with a smaller `hidden`. A unit goes with its rows in all four gates and with the columns that read it,
    its own layer's included.

    Args:
        keep: share of the units that stay, in (0, 1]; the count is rounded to the nearest, at least 1.
        rows: labelled rows of train on which importance is measured, one at a time.
        epochs: passes over train afterwards, to recover; 0 trains nothing.
        rate: peak learning rates of these passes as a share of the fit's.
    """

    keep: ShareKept = 0.5
    rows: Count = 512
    epochs: Epochs = 2
    rate: RateShare = 1.0

    def __post_init__(self) -> None:
        check_fields(self, _WHERE)

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind`."""
        cure = (
            "Put prune_lstm before torch_int8, onnx and onnx_int8; for encoders there are prune_heads and prune_width."
        )
        need_kind("prune_lstm", kind, LstmAttentionClassifier, "the LSTM with attention, of float weights", cure)
        if getattr(model, "bidirectional", False):
            raise _both_ways()
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext) -> LstmAttentionClassifier:
        """The student with fewer hidden units, trained on."""
        self.check(type(classifier))
        assert isinstance(classifier, LstmAttentionClassifier)
        if classifier.config.get("bidirectional"):
            raise _both_ways()
        model = copy.deepcopy(classifier).cpu().eval()
        before = int(model.config["hidden"])
        count = count_of(self.keep, before)
        scores = taylor_of_columns(model, labelled(context, self.rows, 1, _WHERE), readers(model.config["layers"]))
        kept = [most_important(score, count) for score in scores]
        pruned = keep_units(model, kept[:-1], kept[-1])
        shares = [share_kept(score, units) for score, units in zip(scores, kept, strict=True)]
        context.note(
            "prune_lstm",
            {
                "hidden_before": before,
                "hidden": count,
                "importance_kept": {"lstm": shares[:-1], "attention": shares[-1]},
            },
        )
        context.recover(pruned, self.epochs, self.rate)
        return pruned

    def still(self, model: TorchClassifier) -> dict[str, int]:
        """The number of hidden units at the end of all steps."""
        return {"hidden": int(model.config["hidden"])}


def _both_ways() -> UserError:
    cure = "Use model.bidirectional=false, or compression=[prune_l1]."
    return UserError("compression.prune_lstm", expected="an LSTM from left to right", got="one both ways", cure=cure)


def readers(layers: int) -> list[list[str]]:
    """For each LSTM layer and at the end for the attention's tanh: the matrices that have a column for each unit."""
    inner = [[f"lstm.weight_hh_l{layer}", f"lstm.weight_ih_l{layer + 1}"] for layer in range(layers - 1)]
    last = [f"lstm.weight_hh_l{layers - 1}", "attention.weight", "classifier.weight"]
    return [*inner, last, ["score.weight"]]


def keep_units(model: LstmAttentionClassifier, kept: list[Tensor], attention: Tensor) -> LstmAttentionClassifier:
    """The student with only these units; `model` stays as it was.

    Args:
        kept: for each LSTM layer the numbers of the units that stay, ascending, as many in each.
        attention: the same for the attention's tanh.
    """
    hidden = int(model.config["hidden"])
    weights = dict(model.state_dict())
    for layer, units in enumerate(kept):
        gates = (torch.arange(4)[:, None] * hidden + units).flatten()  # input, forget, cell, output below each other
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            weights[f"lstm.{name}_l{layer}"] = weights[f"lstm.{name}_l{layer}"][gates]
        weights[f"lstm.weight_hh_l{layer}"] = weights[f"lstm.weight_hh_l{layer}"][:, units]
        if layer:
            weights[f"lstm.weight_ih_l{layer}"] = weights[f"lstm.weight_ih_l{layer}"][:, kept[layer - 1]]
    keep_outputs(weights, "attention", attention)
    for name in ("attention", "classifier"):
        keep_inputs(weights, name, kept[-1])
    keep_inputs(weights, "score", attention)
    return reshape(model, {**model.config, "hidden": len(attention)}, weights)
