"""Whole words instead of word pieces: the most frequent ones of train, as small LSTMs are often given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from kd_lab.core.cache import Cache
from kd_lab.core.code_hash import code_hash
from kd_lab.core.option_types import Count, MaxTokens
from kd_lab.data import tokenized
from kd_lab.data.dataset import Dataset, Split
from kd_lab.data.tokenizer import TokenizerBase

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_FILE = "tokenizer.json"


@dataclass(frozen=True)
class WordTokenizer:
    """How words become tokens, for a student that has no checkpoint's pieces to keep to.

    Args:
        words: how many of the most frequent ones have a number of their own; all others are one, [UNK].
        lowercase: whether letters become small ones without accents, as BERT's uncased pieces are.
        max_tokens: longer inputs are cut, the special tokens counted; of a pair the longer text first.
    """

    words: Count = 10_000
    lowercase: bool = True
    max_tokens: MaxTokens = 128

    def of(self, dataset: Dataset, cache: Cache) -> Vocabulary:
        """The tokenizer of the words of a data set's train, with and without labels; made when it is asked for."""
        return Vocabulary(self, dataset, cache, self.max_tokens)


@dataclass(frozen=True)
class Vocabulary(TokenizerBase):
    """A tokenizer that is made of the words of a data set, and kept."""

    spec: WordTokenizer
    dataset: Dataset
    cache: Cache
    max_tokens: int

    @property
    def path(self) -> Path:
        """tokenizer.json, in the cache.

        Raises:
            UserError: the data set cannot be read.
        """
        return self._folder / _FILE

    @cached_property
    def _folder(self) -> Path:
        own = {"words": self.spec.words, "lowercase": self.spec.lowercase}
        parts: dict[str, Any] = {"dataset": self.dataset, **own, "code": code_hash("kd_lab.data.word_tokenizer")}
        return self.cache.build("vocabulary", parts, self._make)

    def _make(self, draft: Path) -> None:
        train = tokenized.read(self.dataset, draft).splits["train"]
        made = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        made.normalizer = normalizers.BertNormalizer(lowercase=self.spec.lowercase)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        size = len(SPECIAL) + self.spec.words
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
        made.train_from_iterator(_texts(train), trainer)
        made.post_processor = processors.TemplateProcessing(
            single=f"{START} $A {END}",
            pair=f"{START} $A {END} $B:1 {END}:1",
            special_tokens=[(name, SPECIAL.index(name)) for name in (START, END)],
        )
        made.save(str(draft / _FILE))


def _texts(split: Split) -> Iterator[str]:
    yield from split.texts
    yield from split.pairs or ()
