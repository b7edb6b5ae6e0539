"""An encoder as its checkpoint says: any family, with the activation, positions and pieces that it was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import LayerNumbers, Layers, NonEmpty, PathName, Sha256, ShareBelowOne
from kd_lab.core.types import ModelShape
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.families import longest_input
from kd_lab.models.pretrained import (
    evenly,
    keep_layers,
    read_net,
    read_settings,
    tell_of_head,
    weight_names,
)
from kd_lab.models.spec import BuildContext
from kd_lab.models.token_outputs import shape_of

_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "mlp_dropout")


@dataclass(frozen=True)
class CheckpointEncoder:
    """How to build an encoder out of a checkpoint's own config.json and weights, with a new head.

    Args:
        path: a folder in the hub's layout, or a repository `owner/name`, which is looked for in `root` before the hub.
        name: what results call it; None takes the last part of `path`.
        layers: how many of its layers to keep, spread over the depth; None keeps all.
        keep_layers: which, in order, instead.
        dropout: probability in the encoder; None takes the checkpoint's.
        sha256: of model.safetensors; another file is refused.
        revision: a commit, tag or branch on the hub.
        root: a folder of checkpoints in folders `owner/name`.
    """

    path: PathName
    name: NonEmpty | None = None
    layers: Layers | None = None
    keep_layers: LayerNumbers | None = None
    dropout: ShareBelowOne | None = None
    sha256: Sha256 | None = None
    revision: NonEmpty = "main"
    root: PathName | None = None

    kind: ClassVar[type[EncoderClassifier]] = EncoderClassifier
    starts_from_teacher: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.name is None:
            object.__setattr__(self, "name", self.path.rstrip("/").rpartition("/")[2] or "checkpoint")
        if self.layers is not None and self.keep_layers is not None and len(self.keep_layers) != self.layers:
            got = f"layers={self.layers} and keep_layers={list(self.keep_layers)}"
            raise UserError("model.keep_layers", expected="as many as model.layers", got=got, cure="Leave one out.")

    @property
    def reads_with(self) -> Checkpoint:
        """Whose tokenizer turns texts into the pieces that it knows."""
        return Checkpoint.at(self.path, self.root, self.sha256, self.revision)

    def commit(self) -> str | None:
        """The commit that it is read at; None where it does not come from the hub, or is not to be had."""
        return self.reads_with.commit()

    @property
    def architecture(self) -> str:
        """Its family, as transformers calls it.

        Raises:
            UserError: the checkpoint is not to be had.
        """
        return str(read_settings(self.reads_with.folder())["model_type"])

    @property
    def longest_input(self) -> int:
        """Tokens that it has positions for.

        Raises:
            UserError: the checkpoint is not to be had.
        """
        return longest_input(read_settings(self.reads_with.folder()))

    @property
    def shape(self) -> ModelShape:
        """What a loss can ask it for.

        Raises:
            UserError: the checkpoint is not to be had.
        """
        found = shape_of(read_settings(self.reads_with.folder()))
        kept = self.layers if self.keep_layers is None else len(self.keep_layers)
        return found if kept is None else found._replace(layers=kept)

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options, and the checkpoint by its content."""
        return {
            "checkpoint": self.reads_with,
            "layers": self.layers,
            "keep_layers": self.keep_layers,
            "dropout": self.dropout,
        }

    def build(self, context: BuildContext) -> EncoderClassifier:
        """The encoder in training mode, with dropout on; its head is random.

        Raises:
            UserError: the checkpoint is not to be had, or of a family that kd_lab does not read.
        """
        checkpoint = self.reads_with
        checkpoint.weights()  # refused here if it is a pickle, or another file
        folder = checkpoint.folder()
        settings = read_settings(folder)
        if self.dropout is not None:
            settings |= {name: self.dropout for name in _DROPOUT if name in settings}
        net = read_net(folder, settings, context.classes, with_head=False)
        tell_of_head(weight_names(folder), folder)
        _shorten(net, settings, self.keep_layers, self.layers)
        model = EncoderClassifier({**settings, "num_labels": context.classes})
        model.net.load_state_dict(net.state_dict())
        return model.train()


def _shorten(net: Any, settings: dict[str, Any], kept: tuple[int, ...] | None, layers: int | None) -> None:
    """Leaves the layers that are asked for, in the net and in what it is built from."""
    name = "n_layers" if "n_layers" in settings else "num_hidden_layers"
    if layers is not None and layers > settings[name]:
        raise UserError(
            "model.layers",
            expected=f"at most {settings[name]}, as the checkpoint has",
            got=str(layers),
            cure="Keep fewer.",
        )
    if kept is None and layers is None:
        return
    if kept is None and settings["model_type"] == "albert":  # it goes through one layer again and again
        settings[name] = layers
        return
    kept = kept if kept is not None else evenly(layers or 1, settings[name])
    keep_layers(net, kept, "model.keep_layers")
    settings[name] = len(kept)
    if isinstance(kinds := settings.get("layer_types"), list):  # of ModernBERT: which layers see all of a text
        settings["layer_types"] = [kinds[number] for number in kept]
