"""Any Hugging Face encoder with a classification head, as teacher or student."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor
from transformers.initialization import no_init_weights

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import LayerNumbers, Layers, NonEmpty, Positions, ShareBelowOne, Units
from kd_lab.core.types import Batch, ModelShape, Outputs
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.models.architectures import LAYOUTS, OURS, base_prefix, take_shape
from kd_lab.models.base import CONFIG, WEIGHTS, TorchClassifier, read_config, take_weights
from kd_lab.models.families import FAMILIES, entries, longest_input
from kd_lab.models.fused.bf16_layer import use_bf16_layers
from kd_lab.models.fused.cls_only import all_tokens, narrow_last_layer
from kd_lab.models.fused.dropout import use_quick_dropout
from kd_lab.models.pretrained import tell_of_head
from kd_lab.models.spec import BuildContext
from kd_lab.models.token_outputs import HIDDEN, listening, shape_of
from kd_lab.models.weight_transfer import take_layers
from kd_lab.models.weights_file import read_tensors, refuse_giants

_SEGMENTS = "embeddings.token_type_embeddings.weight"
_ENTRIES = {  # of config.json; others could have transformers fetch code, such as attention kernels
    OURS, "model_type", "vocab_size", "pad_token_id", "max_position_embeddings", "num_labels", "id2label", "label2id",
    "problem_type", "type_vocab_size", "layer_norm_eps", "hidden_act", "activation", "initializer_range", "dropout",
    "attention_dropout", "seq_classif_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob",
    *(entry for layout in LAYOUTS.values() for entry in layout[-4:]),
}  # fmt: skip


class EncoderClassifier(TorchClassifier):
    """An `AutoModelForSequenceClassification`; saved in the layout that `from_pretrained` reads, if `portable`."""

    head: tuple[str, ...] = ("net.classifier", "net.pre_classifier", "net.bert.pooler")

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        settings = transformers.AutoConfig.for_model(**{key: config[key] for key in config if key != OURS})
        self.net = transformers.AutoModelForSequenceClassification.from_config(settings)
        take_shape(self.net, config)
        narrow_last_layer(self.net, config["model_type"])
        use_bf16_layers(self.net, config["model_type"])
        use_quick_dropout(self.net)
        self.two_segments = (getattr(settings, "type_vocab_size", None) or 0) > 1
        encoder = {"dropout", "drop", self.net.base_model_prefix}
        others = (f"net.{name}" for name, _ in self.net.named_children() if name not in encoder)
        self.head = tuple(dict.fromkeys((*self.head, *others)))

    @property
    def portable(self) -> bool:
        """Whether `from_pretrained` builds it from config.json unchanged: no heads pruned, embedding not factorised."""
        return not self.config.get(OURS)

    def forward(self, batch: Batch) -> Outputs:
        """Logits (B, C) and, when asked for, what `token_outputs` can hear of tokens."""
        uses_segments = self.two_segments and batch.token_type_ids is not None
        segments = {"token_type_ids": batch.token_type_ids} if uses_segments else {}
        asked = self.returns - {"logits"}
        all_tokens(self.net, self.config["model_type"], asked=bool(asked))
        nobody: AbstractContextManager[dict[str, Tensor]] = nullcontext({})
        with listening(self.net, self.config, asked) if asked else nobody as heard:
            outputs = self.net(
                input_ids=batch.input_ids,
                attention_mask=self._mask(batch.attention_mask),
                output_hidden_states=bool(asked & HIDDEN),
                **segments,
            )
        if "hidden" in asked:
            heard["hidden"] = outputs.hidden_states[-1].float()
        if "all_hidden" in asked:
            heard["all_hidden"] = torch.stack([states.float() for states in outputs.hidden_states], dim=1)
        return Outputs(outputs.logits.float(), **heard)

    def _mask(self, mask: Tensor) -> Tensor:
        """(B, T), or for a GPU (B, 1, 1, T): Hugging Face's code would look into the other and wait for the answer."""
        ready = mask.is_cuda and self.config["model_type"] in LAYOUTS and self.net.config._attn_implementation == "sdpa"
        return mask[:, None, None].bool() if ready else mask

    @classmethod
    def refuse_config(cls, config: Mapping[str, Any], file: Path) -> None:
        """Refuses entries that kd_lab does not write: some have transformers fetch code, such as attention kernels."""
        family = config.get("model_type")
        known = _ENTRIES | (entries(family) if family in FAMILIES else set())
        if strange := sorted(config.keys() - known):
            cure = "Copy the model's folder again: kd_lab writes no such entry."
            raise UserError(str(file), expected="the config of an encoder", got=f"an entry {strange[0]!r}", cure=cure)

    def save(self, folder: Path) -> None:
        """Writes what `AutoModelForSequenceClassification.from_pretrained(folder)` reads, if `portable`."""
        settings = {**self.config, "architectures": [type(self.net).__name__]}
        (folder / CONFIG).write_text(json.dumps(settings, indent=1), encoding="utf-8")
        tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in self.net.state_dict().items()}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `save` wrote; the model is in evaluation mode."""
        config = {key: value for key, value in read_config(folder).items() if key != "architectures"}
        cls.refuse_config(config, folder / CONFIG)
        with no_init_weights():  # random ones would be drawn, 22 million for MiniLM, to be written over
            refuse_giants(lambda: cls(config), config, folder / WEIGHTS)
            model = cls(config)
        take_weights(model.net, read_tensors(folder / WEIGHTS), folder)
        return model.eval()


@dataclass(frozen=True)
class Encoder:
    """How to build an encoder.

    Args:
        name: what results call it.
        architecture: the hub's name of the family, e.g. "bert" or "distilbert".
        layers, width, heads, feed_forward: its shape; width and feed_forward in units.
        max_positions: longest input in tokens.
        dropout: probability in the encoder, and before the head.
        init: "pretrained" takes the weights of `checkpoint`; "teacher" those of the fitted teacher; "random" none.
        checkpoint: the pre-trained weights.
        keep_layers: which layers of the checkpoint or teacher become this model's, in order; None takes all.
            Spread over the depth as in DistilBERT (arXiv:1910.01108, section 3).
    """

    name: NonEmpty
    architecture: NonEmpty
    layers: Layers
    width: Units
    heads: Units
    feed_forward: Units
    checkpoint: Checkpoint | None = None
    init: Literal["pretrained", "teacher", "random"] = "pretrained"
    keep_layers: LayerNumbers | None = None
    max_positions: Positions = 512
    dropout: ShareBelowOne = 0.1

    kind: ClassVar[type[EncoderClassifier]] = EncoderClassifier

    def __post_init__(self) -> None:
        if self.init not in ("pretrained", "teacher", "random"):
            raise UserError(
                "model.init", expected="pretrained, teacher or random", got=repr(self.init), cure="Choose one of them."
            )
        if isinstance(self.dropout, bool | str) or not 0 <= self.dropout < 1:
            raise UserError(
                "model.dropout", expected="a probability below 1", got=repr(self.dropout), cure="Give another."
            )
        if self.keep_layers is not None and len(self.keep_layers) != self.layers:
            raise UserError(
                "model.keep_layers",
                expected=f"{self.layers} layers, as model.layers says",
                got=str(list(self.keep_layers)),
                cure="Give one source layer for each of the model's layers.",
            )

    @property
    def starts_from_teacher(self) -> bool:
        """Whether the fitted teacher's layers are its start."""
        return self.init == "teacher"

    @property
    def reads_with(self) -> Checkpoint | None:
        """Whose tokenizer turns texts into the pieces that its weights know; None where they know none."""
        return self.checkpoint if self.init == "pretrained" else None

    @property
    def longest_input(self) -> int:
        """Tokens that it has positions for."""
        settings = {"model_type": self.architecture, "max_position_embeddings": self.max_positions}
        return longest_input({**settings, "pad_token_id": 1})

    @property
    def shape(self) -> ModelShape:
        """What a loss can ask it for."""
        return shape_of(self._shape())

    def fingerprint_parts(self) -> dict[str, Any]:
        """Its options but the name; the checkpoint only where its weights are used."""
        options = {key: value for key, value in vars(self).items() if key != "name"}
        return {**options, "checkpoint": self.checkpoint if self.init == "pretrained" else None}

    def build(self, context: BuildContext) -> EncoderClassifier:
        """The encoder in training mode, with dropout on.

        Raises:
            UserError: the weights it should start from are not to be had or do not fit.
        """
        model = EncoderClassifier(self._settings(context))
        if self.init != "random":
            self._take(model, self._source(context))
        return model.train()

    def _settings(self, context: BuildContext) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "model_type": self.architecture,
            "vocab_size": context.vocab_size,
            "pad_token_id": context.pad_id,
            "max_position_embeddings": self.max_positions,
            "num_labels": context.classes,
        }
        if self.architecture == "distilbert":
            rates = {"dropout": self.dropout, "attention_dropout": self.dropout, "seq_classif_dropout": self.dropout}
        else:
            rates = {"hidden_dropout_prob": self.dropout, "attention_probs_dropout_prob": self.dropout}
        return {**settings, **self._shape(), **rates}

    def _shape(self) -> dict[str, Any]:
        names = LAYOUTS.get(self.architecture, LAYOUTS["bert"])
        sizes = {names.layer_count: self.layers, names.width: self.width, names.heads: self.heads}
        return {"model_type": self.architecture, **sizes, names.feed_forward: self.feed_forward}

    def _source(self, context: BuildContext) -> dict[str, Tensor]:
        if self.init == "pretrained":
            if self.checkpoint is None:
                raise UserError(
                    "model.checkpoint", expected="pre-trained weights", got="none", cure="Give some, or init=random."
                )
            found = read_tensors(self.checkpoint.weights(), cure="Save the model as safetensors again.")
            tell_of_head(found, self.checkpoint.folder())
            return found
        if not isinstance(context.teacher, EncoderClassifier):
            raise UserError(
                "model.init=teacher",
                expected="an encoder as teacher, to take its layers from",
                got="no teacher" if context.teacher is None else type(context.teacher).__name__,
                cure="Choose a teacher, e.g. teacher=minilm, or model.init=pretrained.",
            )
        return dict(context.teacher.net.state_dict())

    def _take(self, model: EncoderClassifier, source: dict[str, Tensor]) -> None:
        target = model.net.base_model.state_dict()
        taken = take_layers(source, self.architecture, self.keep_layers)
        pieces = model.net.get_input_embeddings().num_embeddings
        for name in (name for name in taken if name.endswith("word_embeddings.weight")):
            taken[name] = taken[name][:pieces]  # some checkpoints pad their vocabulary: rows of which nobody asks
        if self.architecture == "bert" and _SEGMENTS not in taken:  # a DistilBERT has none: they then add nothing
            taken[_SEGMENTS] = torch.zeros_like(target[_SEGMENTS])
        wrong = sorted(
            name
            for name, weight in target.items()
            if not name.startswith("pooler.") and (name not in taken or taken[name].shape != weight.shape)
        )
        if wrong:
            name = wrong[0]
            got = f"shape {list(taken[name].shape)}" if name in taken else "no such weight"
            raise UserError(
                f"model.init={self.init}",
                expected=f"{base_prefix(self.architecture)}.{name} of shape {list(target[name].shape)}",
                got=f"{got} ({len(wrong)} weights do not fit)",
                cure="Make layers, width, feed_forward and vocabulary those of the weights, or use model.init=random.",
            )
        if extra := sorted(name for name in taken if name not in target and ".layer." in name):
            raise UserError(
                "model.keep_layers",
                expected=f"which {self.layers} layers to take",
                got=f"{self.keep_layers} from weights with more ({extra[-1]})",
                cure=f"Name as many as model.layers={self.layers}, or take them all.",
            )
        fitting = {
            name: weight for name, weight in taken.items() if name in target and weight.shape == target[name].shape
        }
        model.net.base_model.load_state_dict(fitting, strict=False)
