"""The families of encoders whose checkpoints are read as they are, and what of their config.json is followed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import transformers

from kd_lab.core.errors import UserError

FAMILIES = (
    *("bert", "distilbert", "roberta", "xlm-roberta", "camembert", "electra", "albert"),
    *("deberta", "deberta-v2", "mpnet", "modernbert", "ernie"),
)
_NOT_FOLLOWED = {  # of all configs: what says how it is used, or has transformers fetch something
    *("id2label", "label2id", "num_labels", "problem_type", "architectures", "transformers_version", "model_type"),
    *("dtype", "output_hidden_states", "output_attentions", "return_dict", "use_cache", "tie_word_embeddings"),
    *("is_decoder", "is_encoder_decoder", "add_cross_attention", "_name_or_path", "chunk_size_feed_forward"),
    *("quantization_config", "auto_map", "reference_compile", "name_or_path", "tokenizer_class"),
}
_FORMERLY = frozenset({"global_rope_theta", "local_rope_theta", "rope_theta"})  # entries that transformers translates
_BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet")  # positions are counted from the padding's number on
CURE = f"Choose a checkpoint of one of these: {', '.join(FAMILIES)}."


@cache
def entries(family: str) -> frozenset[str]:
    """What a config.json of the family may say that `EncoderClassifier` follows."""
    return frozenset(transformers.AutoConfig.for_model(family).to_dict()) - _NOT_FOLLOWED


def followed(config: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """What an encoder is built from, of a checkpoint's config.json: its activation, epsilon, positions and the like.

    Raises:
        UserError: the family is none of `FAMILIES`, or transformers does not take the config.
    """
    family = config.get("model_type")
    if family not in FAMILIES:
        got = f"model_type {family!r}" if family else "no model_type"
        raise UserError(str(file), expected="an encoder of a family that kd_lab reads", got=got, cure=CURE)
    names = entries(family) | _FORMERLY | set(transformers.AutoConfig.for_model(family).attribute_map)
    given = {name: value for name, value in config.items() if name in names}
    try:
        whole = transformers.AutoConfig.for_model(family, **given).to_dict()
    except Exception as error:  # each family checks in its own way
        got = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(str(file), expected=f"a config of the family {family}", got=got, cure=CURE) from error
    return {"model_type": family, **{name: whole[name] for name in sorted(entries(family)) if name in whole}}


def longest_input(config: Mapping[str, Any]) -> int:
    """Tokens that the longest input of an encoder with this config has."""
    positions = int(config["max_position_embeddings"])
    return positions - int(config["pad_token_id"] or 0) - 1 if config["model_type"] in _BEHIND_PADDING else positions
