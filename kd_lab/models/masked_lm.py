"""Encoders that guess masked pieces: transformers' own models, with logits for those places alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.initialization import no_init_weights

from kd_lab.core.errors import UserError
from kd_lab.core.reading import reading
from kd_lab.core.types import Outputs
from kd_lab.models.architectures import OURS
from kd_lab.models.base import CONFIG, WEIGHTS, read_config
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.fused.bf16_layer import use_bf16_layers
from kd_lab.models.fused.dropout import use_quick_dropout
from kd_lab.models.weight_transfer import modern
from kd_lab.models.weights_file import read_tensors


class HeadLayout(NamedTuple):
    """Where a family keeps its head, norm(activation(dense(h))) times the word embedding, plus a bias a piece."""

    dense: str  # a module, as norm and activation
    norm: str
    activation: str  # "" where it is the exact GELU in code
    bias: str  # a parameter, (V,)


_BERT = HeadLayout(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.LayerNorm",
    "cls.predictions.transform.transform_act_fn",
    "cls.predictions.bias",
)
_ROBERTA = HeadLayout("lm_head.dense", "lm_head.layer_norm", "", "lm_head.bias")
HEADS = {
    "bert": _BERT,
    "ernie": _BERT,
    "distilbert": HeadLayout("vocab_transform", "vocab_layer_norm", "activation", "vocab_projector.bias"),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), _ROBERTA),
}


class MaskedLM(nn.Module):
    """An `AutoModelForMaskedLM`, its output tied to its word embedding; saved as `from_pretrained` reads it.

    transformers' classes are taken and no head of ours, so that the folder is one that all others know. Its own forward
    pass computes logits for every token; this one for masked places alone, which is most of the arithmetic that a small
    encoder spends.

    Args:
        config: contents of config.json.
        vocab_size: V, pieces that there are; a checkpoint may have more rows, of which nobody asks.
    """

    def __init__(self, config: Mapping[str, Any], vocab_size: int) -> None:
        super().__init__()
        self.net = net = transformers.AutoModelForMaskedLM.from_config(_settings(config))
        net.tie_weights()  # which it leaves out where no random weights are drawn
        family = str(net.config.model_type)
        self.vocab_size = vocab_size
        self.head_layout = head_layout(family)
        self.head = tuple(f"net.{name}" for name in _names(self.head_layout).values())  # takes the head's learning rate
        use_bf16_layers(net, family)
        use_quick_dropout(net)

    def forward(self, input_ids: Tensor, places: Tensor, attention_mask: Tensor | None = None) -> Outputs:
        """Logits (M, V) at the places, and hidden (B, T, H).

        Args:
            input_ids, attention_mask: (B, T).
            places: (M,) int64, of B * T.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.embedding.requires_grad):
            hidden = self.net.base_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        states = hidden.reshape(-1, hidden.shape[-1]).index_select(0, places)
        return Outputs(self._logits(states), hidden)

    def _logits(self, states: Tensor) -> Tensor:
        layout, net = self.head_layout, self.net
        grown = net.get_submodule(layout.dense)(states)
        grown = net.get_submodule(layout.activation)(grown) if layout.activation else F.gelu(grown)
        weight, bias = self.embedding, net.get_parameter(layout.bias)
        if len(weight) > self.vocab_size:
            weight, bias = weight[: self.vocab_size], bias[: self.vocab_size]
        return F.linear(net.get_submodule(layout.norm)(grown), weight, bias)

    @property
    def embedding(self) -> Tensor:
        """(V or more, H), of words; it is the head's last weight too."""
        return cast("Tensor", self.net.get_input_embeddings().weight)

    def freeze_encoder(self) -> None:
        """From now on the head alone learns; its last weight, the word embedding, is the encoder's and stays."""
        self.requires_grad_(False)
        for weight in self.head_weights().values():
            weight.requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        """Training mode; of an encoder that is frozen the head alone, as no dropout helps it."""
        super().train(mode)
        if not self.embedding.requires_grad:
            self.net.base_model.eval()
        return self

    def head_weights(self) -> dict[str, Tensor]:
        """The head's weights, by what they are in every family."""
        return {part: self.net.get_parameter(name) for part, name in _names(self.head_layout).items()}

    def take_head(self, weights: Mapping[str, Tensor]) -> bool:
        """Takes another's head where it is as wide and knows as many pieces; whether it is."""
        own = self.head_weights()
        pieces = len(own["bias"])
        given = {part: weight[:pieces] if part == "bias" else weight for part, weight in weights.items()}
        if any(given[part].shape != weight.shape for part, weight in own.items()):
            return False
        with torch.no_grad():
            for part, weight in own.items():
                weight.copy_(given[part])
        self.head = ()  # it does not start from random
        return True

    def as_classifier(self) -> EncoderClassifier:
        """Its encoder under a classifier's random head, for a student that starts from its layers."""
        config = {name: value for name, value in self.net.config.to_dict().items() if value is not None}
        found = EncoderClassifier({**config, "num_labels": 2})
        found.net.base_model.load_state_dict(self.net.base_model.state_dict(), strict=False)
        return found

    def save(self, folder: Path) -> None:
        """Writes config.json and model.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        self.net.config.architectures = [type(self.net).__name__]
        self.net.config.to_json_file(folder / CONFIG)
        tied = set(self.net.all_tied_weights_keys)  # said once, by their other name
        tensors = {name: one.detach().contiguous().cpu() for name, one in self.net.state_dict().items()}
        kept = {name: one for name, one in tensors.items() if name not in tied}
        save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path, vocab_size: int) -> Self:
        """Reads what `save` wrote; in evaluation mode.

        Raises:
            UserError: the folder is damaged.
        """
        cure = "Pre-train it again."
        with reading(folder / WEIGHTS, expected="weights that belong to its config.json", cure=cure):
            config = read_config(folder)
            with no_init_weights():  # random ones would be drawn, to be written over
                found = cls(config, vocab_size)
            new = found.net.load_state_dict(read_tensors(folder / WEIGHTS), strict=False)
            if new.unexpected_keys or set(new.missing_keys) - set(found.net.all_tied_weights_keys):
                raise ValueError(f"weights of another model: {[*new.unexpected_keys, *new.missing_keys][:3]}")
        found.head = ()
        return found.eval()


def of_classifier(classifier: EncoderClassifier, vocab_size: int) -> MaskedLM:
    """A classifier's encoder under a random head for masked pieces.

    Raises:
        UserError: the family is none of `HEADS`, the encoder is one that transformers cannot build, or knows fewer
            pieces.
    """
    config = classifier.config
    head_layout(str(config["model_type"]))
    if config.get(OURS):
        cure = "Choose a model that is not pruned."
        raise UserError("model", expected="an encoder as transformers builds it", got="a pruned one", cure=cure)
    found = MaskedLM(config, vocab_size)
    if (known := len(found.embedding)) < vocab_size:
        cure = "Choose a checkpoint with the tokenizer that it was trained with."
        raise UserError(
            "model", expected=f"a row for each of the tokenizer's {vocab_size} pieces", got=str(known), cure=cure
        )
    found.net.base_model.load_state_dict(classifier.net.base_model.state_dict(), strict=False)
    return found


def head_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The head among a checkpoint's weights, whichever family named it; None where there is none."""
    found = {modern(name): weight for name, weight in tensors.items()}
    for layout in dict.fromkeys(HEADS.values()):
        names = _names(layout)
        if all(name in found for name in names.values()):
            return {part: found[name] for part, name in names.items()}
    return None


def head_layout(family: str) -> HeadLayout:
    """Where a family keeps its head.

    Raises:
        UserError: the family is none of `HEADS`.
    """
    if family not in HEADS:
        raise UserError(
            "model",
            expected=f"an encoder of one of the families {', '.join(HEADS)}",
            got=family,
            cure="Choose another, e.g. model=distilbert_mini.",
        )
    return HEADS[family]


def _names(layout: HeadLayout) -> dict[str, str]:
    modules = {"dense": layout.dense, "norm": layout.norm}
    named = {f"{part}.{kind}": f"{name}.{kind}" for part, name in modules.items() for kind in ("weight", "bias")}
    return {**named, "bias": layout.bias}


def _settings(config: Mapping[str, Any]) -> Any:
    said = ("num_labels", "id2label", "label2id", "problem_type", "architectures", "transformers_version", OURS)
    return transformers.AutoConfig.for_model(**{name: value for name, value in config.items() if name not in said})
