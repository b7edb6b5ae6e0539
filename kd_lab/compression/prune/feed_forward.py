"""Removes the feed-forward units of an encoder that matter least."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.importance import labelled, most_important, share_kept, taylor_of_inputs
from kd_lab.compression.options import count_of, need_kind
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Count, Epochs, RateShare, ShareKept
from kd_lab.models.architectures import layer_stem, layout_of
from kd_lab.models.base import TorchClassifier
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.models.surgery import keep_inputs, keep_outputs, reshape

_WHERE = "compression.prune_width"
_SIZE = 16  # rows a batch; the activations of all layers are kept meanwhile


@dataclass(frozen=True)
class PruneWidth:
    """Structured pruning of feed-forward units by first-order importance (Molchanov et al., arXiv:1611.06440, 2.2).

    Each layer keeps the same number, at once, so that config.json's own entry says it and `from_pretrained` reads
    the result. The width H between layers stays. For attention heads see `prune_heads`.

    Args:
        keep: share of each layer's units that stay, in (0, 1]; the count is rounded to the nearest, at least 1.
        rows: labelled rows of train on which importance is measured.
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
        """The class that `apply` makes, or a UserError where it cannot take `kind` or `model`."""
        cure = "Put prune_width before torch_int8, onnx and onnx_int8; for the LSTM there is prune_lstm."
        need_kind("prune_width", kind, EncoderClassifier, "an encoder of float weights", cure)
        if isinstance(model, Encoder | CheckpointEncoder):
            layout_of(model.architecture, _WHERE)
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext) -> EncoderClassifier:
        """The encoder with fewer feed-forward units, trained on."""
        self.check(type(classifier))
        assert isinstance(classifier, EncoderClassifier)
        model = copy.deepcopy(classifier).cpu().eval()
        stem, layout = layer_stem(model.config, _WHERE), layout_of(model.config["model_type"], _WHERE)
        before = int(model.config[layout.feed_forward])
        count = count_of(self.keep, before)
        readers = [layer.get_submodule(layout.shrink) for layer in model.get_submodule(stem).children()]
        scores = taylor_of_inputs(model, labelled(context, self.rows, _SIZE, _WHERE), readers, before)
        kept = [most_important(score, count) for score in scores]
        pruned = keep_units(model, kept)
        shares = [share_kept(score, units) for score, units in zip(scores, kept, strict=True)]
        context.note("prune_width", {"units_before": before, "units": count, "importance_kept": shares})
        context.recover(pruned, self.epochs, self.rate)
        return pruned

    def still(self, model: TorchClassifier) -> dict[str, int]:
        """The number of feed-forward units at the end of all steps."""
        return {"units": int(model.config[layout_of(model.config["model_type"], _WHERE).feed_forward])}


def keep_units(model: EncoderClassifier, kept: list[Tensor]) -> EncoderClassifier:
    """The encoder with only these feed-forward units, which say what they said; `model` stays as it was.

    Args:
        kept: for each layer the numbers of the units that stay, ascending, as many in each.
    """
    stem, layout = layer_stem(model.config, _WHERE), layout_of(model.config["model_type"], _WHERE)
    weights = dict(model.state_dict())
    for number, units in enumerate(kept):
        keep_outputs(weights, f"{stem}.{number}.{layout.grow}", units)
        keep_inputs(weights, f"{stem}.{number}.{layout.shrink}", units)
    return reshape(model, {**model.config, layout.feed_forward: len(kept[0])}, weights)
