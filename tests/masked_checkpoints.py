"""Small random encoders with a tokenizer that can mask, and a corpus of the toy data's sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny_checkpoints
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from toy_texts import SENTENCES, WORDS

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TEXTS = [sentence.format(word) for words in WORDS.values() for word in words for sentence in SENTENCES]


def write(folder: Path, family: str = "bert", **options: Any) -> Path:
    """A checkpoint without a head, whose tokenizer knows the corpus's words."""
    words = sorted({word.strip("?") for text in TEXTS for word in text.split()})
    numbers = {word: at for at, word in enumerate([*SPECIAL, *words, "?"])}
    tiny_checkpoints.write(folder, family, vocab_size=len(numbers), **options)
    pieces = Tokenizer(models.WordLevel(numbers, "[UNK]"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    pieces.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    pieces.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    pieces.save(str(folder / "tokenizer.json"))
    return folder


def write_corpus(path: Path, texts: list[str] | None = None) -> Path:
    """A text a line."""
    path.write_text("\n".join(TEXTS if texts is None else texts) + "\n", encoding="utf-8")
    return path
