"""Removes the attention heads of an encoder that matter least."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.importance import labelled, most_important, taylor_of_inputs
from kd_lab.compression.options import count_of, need_at_most, need_kind
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Epochs, RateShare, ShareKept, Units
from kd_lab.models.architectures import HEADS, head_size, heads_in, layer_stem, layout_of, with_ours
from kd_lab.models.base import TorchClassifier
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.models.surgery import keep_inputs, keep_outputs, reshape

_WHERE = "compression.prune_heads"
_SIZE = 16  # rows a batch; the activations of all layers are kept meanwhile


@dataclass(frozen=True)
class PruneHeads:
    """Structured pruning of attention heads by first-order importance (Michel et al., arXiv:1905.10650, 4.1).

    Each layer loses the same number, at once: scores of different layers are no measure of each other (the paper
    normalises them), and so one number in config.json says the shape. Query, key, value and output matrices get
    smaller for real. For feed-forward units see `prune_width`.

    Args:
        keep: share of each layer's heads that stay, in (0, 1]; the count is rounded to the nearest, at least 1.
        heads: how many of each layer's heads stay, in place of `keep`.
        rows: labelled rows of train on which importance is measured.
        epochs: passes over train afterwards, to recover; 0 trains nothing.
        rate: peak learning rates of these passes as a share of the fit's.
    """

    keep: ShareKept = 0.5
    heads: Units | None = None
    rows: Count = 512
    epochs: Epochs = 2
    rate: RateShare = 1.0

    def __post_init__(self) -> None:
        check_fields(self, _WHERE)

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind` or `model`."""
        cure = "Put prune_heads before torch_int8, onnx and onnx_int8; for the LSTM there is prune_lstm."
        need_kind("prune_heads", kind, EncoderClassifier, "an encoder of float weights", cure)
        if isinstance(model, Encoder | CheckpointEncoder):
            layout_of(model.architecture, _WHERE)
            self._count(model.shape.heads)
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext) -> EncoderClassifier:
        """The encoder with fewer heads, trained on; `portable` only where none went."""
        self.check(type(classifier))
        assert isinstance(classifier, EncoderClassifier)
        model = copy.deepcopy(classifier).cpu().eval()
        stem, layout = layer_stem(model.config, _WHERE), layout_of(model.config["model_type"], _WHERE)
        before = heads_in(model.config)
        count = self._count(before)
        merges = [layer.get_submodule(layout.merge) for layer in model.get_submodule(stem).children()]
        scores = taylor_of_inputs(model, labelled(context, self.rows, _SIZE, _WHERE), merges, before)
        kept = [most_important(score, count) for score in scores]
        pruned = keep_heads(model, kept)
        context.note("prune_heads", {"heads_before": before, "heads": count, "kept": [each.tolist() for each in kept]})
        context.recover(pruned, self.epochs, self.rate)
        return pruned

    def still(self, model: TorchClassifier) -> dict[str, int]:
        """The number of heads at the end of all steps."""
        return {"heads": int(heads_in(model.config))}

    def _count(self, total: int) -> int:
        if self.heads is None:
            return count_of(self.keep, total)
        need_at_most(f"{_WHERE}.heads", self.heads, total, "heads in each layer")
        return self.heads


def keep_heads(model: EncoderClassifier, kept: list[Tensor]) -> EncoderClassifier:
    """The encoder with only these heads, which say what they said; `model` stays as it was.

    Args:
        kept: for each layer the numbers of the heads that stay, ascending, as many in each.
    """
    stem, layout = layer_stem(model.config, _WHERE), layout_of(model.config["model_type"], _WHERE)
    size, count = head_size(model.config), len(kept[0])
    weights = dict(model.state_dict())
    for number, heads in enumerate(kept):
        units = (heads[:, None] * size + torch.arange(size)).flatten()
        for part in (layout.query, layout.key, layout.value):
            keep_outputs(weights, f"{stem}.{number}.{part}", units)
        keep_inputs(weights, f"{stem}.{number}.{layout.merge}", units)
    fewer = count < heads_in(model.config)
    return reshape(model, with_ours(model.config, HEADS, count) if fewer else model.config, weights)
