"""Checkpoints in the hub's layout, of any family, small and random, with a tokenizer of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from toy_texts import SENTENCES, WORDS

POSITIONS = 66
SHAPE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
OF_FAMILY: dict[str, dict[str, Any]] = {
    "distilbert": {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48},
    "electra": {**SHAPE, "embedding_size": 16},
    "albert": {**SHAPE, "embedding_size": 16},
    "deberta": {**SHAPE, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {**SHAPE, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "modernbert": {**SHAPE, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
}
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")


def write_tokenizer(folder: Path) -> int:
    """A tokenizer.json of the toy data's words, numbered as no other is; the number of its pieces."""
    words = sorted({*(word for names in WORDS.values() for word in names), *re.findall("[a-z]+", " ".join(SENTENCES))})
    numbers = {word: at for at, word in enumerate([*SPECIAL, *reversed(words)])}
    pieces = Tokenizer(models.WordLevel(numbers, "<unk>"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    pieces.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> $B </s>", [("<s>", 2), ("</s>", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    pieces.save(str(folder / "tokenizer.json"))
    return pieces.get_vocab_size()


def write(folder: Path, family: str, labels: Sequence[str] = (), seed: int = 0, **options: Any) -> Any:
    """A checkpoint: an encoder alone, or a classifier of these labels; the Hugging Face model, in evaluation mode."""
    pieces = write_tokenizer(folder)
    told = {"vocab_size": pieces, "max_position_embeddings": POSITIONS, "pad_token_id": 0}
    told |= {"initializer_range": 0.3}  # with less, a random encoder hardly tells texts apart
    named = {"num_labels": len(labels), "id2label": dict(enumerate(labels))} if labels else {}
    config = transformers.AutoConfig.for_model(family, **{**told, **OF_FAMILY.get(family, SHAPE), **named, **options})
    torch.manual_seed(seed)
    kind = transformers.AutoModelForSequenceClassification if labels else transformers.AutoModel
    model = kind.from_config(config).eval()
    model.save_pretrained(folder)
    return model


def edit_config(folder: Path, **changes: Any) -> None:
    """Changes entries of config.json; None takes one out."""
    file = folder / "config.json"
    config = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not None}), encoding="utf-8")
