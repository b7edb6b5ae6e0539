"""What is done with so many rows: tokenise, let a small teacher answer, let a small student learn for an epoch."""

from __future__ import annotations

import itertools
from pathlib import Path

import torch

from experiments.speed.short_texts import ShortTexts
from kd_lab.cli.compose import compose
from kd_lab.core.cache import Cache
from kd_lab.core.process_tuning import keep_freed_memory
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.losses.hybrid import Hybrid
from kd_lab.models.base import TorchClassifier
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.pipeline.cell import Cell
from kd_lab.training.loop import train
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.teacher_outputs import CachedTeacherOutputs, logits_of

CURVES = {
    "tokenise": "texts to cached word pieces",
    "answer": "a teacher's logits for train into the cache",
    "learn": "an epoch of training with validation and checkpoints",
}
SMALL = LstmAttention(embedding=16, hidden=16, layers=1, dropout=0.1, init="random")
BATCH = 1000


class Rows:
    """So many rows; each of the curves' methods begins from nothing.

    Args:
        size: rows in train.
        spoken: words that the texts are made of.
        folder: for what is made.
    """

    def __init__(self, size: int, spoken: tuple[str, ...], folder: Path) -> None:
        self.data, self.folder, self.names = ShortTexts(size, spoken), folder, itertools.count()
        self.tokenizer = Cell(compose()).tokenizer
        self.data.load()
        self.tokens = self.tokenise()
        self.logits = torch.zeros(size, len(self.tokens.classes))

    def tokenise(self) -> Tokens:
        """Texts to word pieces."""
        return tokenise(self.data, self.tokenizer, self._cache())

    def answer(self) -> None:
        """The teacher's pass."""
        self.logits = logits_of(
            f"teacher {next(self.names)}", self._model, self.tokens, "train", ("cpu", "32-true"), self._cache()
        )

    def learn(self) -> None:
        """The student's epoch."""
        keep_freed_memory()  # as the command does
        answers = {"train": CachedTeacherOutputs(self.logits), "validation": CachedTeacherOutputs(self.logits)}
        settings = Trainer(max_epochs=1, batch_size=BATCH, device="cpu", precision="32-true")
        scratch = self.folder / f"fit {next(self.names)}"
        scratch.mkdir()
        train(self._model().train(), Hybrid(0.5, 2.0, 0.0), AdamW(), settings, 0, self.tokens, answers, scratch)

    def _cache(self) -> Cache:
        return Cache(self.folder / f"cache {next(self.names)}")

    def _model(self) -> TorchClassifier:
        tokens = self.tokens
        context = BuildContext(
            len(tokens.classes), tokens.vocab_size, tokens.pad_id, tokens.fingerprint, tokens.sentences, self._cache()
        )
        return SMALL.build(context).eval()
