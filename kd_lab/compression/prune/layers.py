"""Removes whole layers of an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kd_lab.compression.context import CompressionContext
from kd_lab.compression.options import count_of, need_at_most, need_kind
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import check_fields
from kd_lab.core.option_types import Epochs, LayerNumbers, Layers, RateShare
from kd_lab.models.architectures import layer_stem, layout_of
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.saved_model import Classifier
from kd_lab.models.spec import ModelSpec
from kd_lab.models.surgery import reshape

_WHERE = "compression.drop_layers"
_BY_LAYER = ("kept", "importance_kept")  # notes of encoders that have an entry for each layer, in their order


@dataclass(frozen=True)
class DropLayers:
    """Keeps some layers of a fitted encoder, as DistilBERT kept BERT's (arXiv:1910.01108, section 3).

    To start a student from some of its teacher's layers and fit it in full, use `model.keep_layers` instead.

    Args:
        keep: numbers of the layers that stay, from 0, ascending.
        layers: how many stay, in place of `keep`: spread evenly from the first to the last, as DistilBERT's
            0, 2, 4, 7, 9, 11 of 12. Where both are None, half of them, rounded up.
        epochs: passes over train afterwards, to recover; 0 trains nothing.
        rate: peak learning rates of these passes as a share of the fit's.
    """

    keep: LayerNumbers | None = None
    layers: Layers | None = None
    epochs: Epochs = 2
    rate: RateShare = 1.0

    def __post_init__(self) -> None:
        if self.keep is not None and not _ascending(self.keep):
            raise UserError(
                f"{_WHERE}.keep",
                expected="numbers of layers, from 0, ascending",
                got=repr(self.keep),
                cure=f"Use e.g. {_WHERE}.keep=[0,2].",
            )
        check_fields(self, _WHERE)
        if self.keep is not None and self.layers is not None:
            raise UserError(
                f"{_WHERE}.layers",
                expected="null beside keep, which says how many stay",
                got=str(self.layers),
                cure="Give one of the two.",
            )

    def check(self, kind: type, model: ModelSpec | None = None) -> type:
        """The class that `apply` makes, or a UserError where it cannot take `kind` or `model`."""
        cure = "Put drop_layers before torch_int8, onnx and onnx_int8; for the LSTM there is prune_lstm."
        need_kind("drop_layers", kind, EncoderClassifier, "an encoder of float weights", cure)
        if isinstance(model, Encoder | CheckpointEncoder):
            layout_of(model.architecture, _WHERE)
            self._kept(model.shape.layers)
        return kind

    def apply(self, classifier: Classifier, context: CompressionContext) -> EncoderClassifier:
        """The encoder with fewer layers, trained on."""
        self.check(type(classifier))
        assert isinstance(classifier, EncoderClassifier)
        before = int(classifier.config[layout_of(classifier.config["model_type"], _WHERE).layer_count])
        kept = self._kept(before)
        dropped = keep_layers(classifier, kept)
        for facts in context.notes.values():  # what earlier steps said of each layer holds of those that stay
            facts |= {key: [facts[key][layer] for layer in kept] for key in _BY_LAYER if key in facts}
        context.note("drop_layers", {"layers_before": before, "kept": kept})
        context.recover(dropped, self.epochs, self.rate)
        return dropped

    def _kept(self, total: int) -> list[int]:
        """Numbers of the layers of a model with `total` that stay."""
        if self.keep is None:
            count = count_of(0.5, total) if self.layers is None else self.layers
            need_at_most(f"{_WHERE}.layers", count, total, "layers")
            return spread(count, total)
        if self.keep[-1] >= total:
            raise UserError(
                f"{_WHERE}.keep",
                expected=f"layers that the model has, 0 to {total - 1}",
                got=str(list(self.keep)),
                cure=f"Use e.g. {_WHERE}.keep={str(spread(count_of(0.5, total), total)).replace(' ', '')}.",
            )
        return list(self.keep)


def spread(count: int, total: int) -> list[int]:
    """`count` of the numbers 0 to `total - 1`, evenly spread, the first and the last among them; 0 alone for one."""
    return [round(place * (total - 1) / max(1, count - 1)) for place in range(count)]


def keep_layers(model: EncoderClassifier, kept: Sequence[int]) -> EncoderClassifier:
    """The encoder with only these layers, in this order, unchanged; `model` stays as it was."""
    stem, layout = layer_stem(model.config, _WHERE), layout_of(model.config["model_type"], _WHERE)
    place = {str(layer): index for index, layer in enumerate(kept)}
    weights = {}
    for name, weight in model.state_dict().items():
        if not name.startswith(f"{stem}."):
            weights[name] = weight
            continue
        layer, _, part = name.removeprefix(f"{stem}.").partition(".")
        if layer in place:
            weights[f"{stem}.{place[layer]}.{part}"] = weight
    return reshape(model, {**model.config, layout.layer_count: len(kept)}, weights)


def _ascending(numbers: object) -> bool:
    """Whether it is a list of at least one whole number from 0, each above the one before it."""
    if isinstance(numbers, str) or not isinstance(numbers, Sequence) or not numbers:
        return False
    whole = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in numbers)
    return whole and list(numbers) == sorted(set(numbers))
