"""A data set of any number of short texts, made of another's words by a seeded generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from kd_lab.cli.compose import compose
from kd_lab.core.instantiate import build
from kd_lab.core.paths import default_data
from kd_lab.data.dataset import Split, Texts

HELD_OUT = 1000  # rows in validation and in test, at most
CLASSES = ("even", "odd")
_LENGTHS = (4, 13)  # words in a text, the second not reached


@dataclass(frozen=True)
class ShortTexts:
    """`rows` training texts of 4 to 12 words, kept in memory; labels by turns.

    Args:
        rows: in train.
        words: to draw from, as often as they occur.
        seed: of the draws.
    """

    rows: int
    words: tuple[str, ...]
    seed: int = 0
    name: str = "short_texts"
    _made: dict[str, Texts] = field(default_factory=dict, repr=False, compare=False)

    def fingerprint_parts(self) -> dict[str, Any]:
        """All that decides the texts."""
        return {"rows": self.rows, "words": len(self.words), "first": list(self.words[:100]), "seed": self.seed}

    def load(self) -> Texts:
        """The texts, made at the first call."""
        if "texts" not in self._made:
            held_out = min(HELD_OUT, max(20, self.rows // 10))
            sizes = {"train": self.rows, "validation": held_out, "test": held_out}
            draw = np.random.default_rng(self.seed)
            self._made["texts"] = Texts({name: self._split(draw, size) for name, size in sizes.items()}, CLASSES)
        return self._made["texts"]

    def _split(self, draw: np.random.Generator, rows: int) -> Split:
        ends = np.cumsum(draw.integers(*_LENGTHS, rows))
        drawn = draw.integers(0, len(self.words), ends[-1])
        starts = np.concatenate([[0], ends[:-1]])
        texts = [
            " ".join([self.words[word] for word in drawn[start:end]]) for start, end in zip(starts, ends, strict=True)
        ]
        return Split(texts, np.arange(rows, dtype=np.int64) % len(CLASSES))


def words(overrides: Sequence[str] = ()) -> tuple[str, ...]:
    """Every word of the training texts of CLINC150 or, where it is not to be had, of the docstrings.

    Args:
        overrides: which data set instead.
    """
    there = (default_data() / "clinc_oos" / "plus").is_dir()
    found = part("dataset", overrides or [f"dataset={'clinc' if there else 'docstrings'}"])
    return tuple(word for text in found.load().splits["train"].texts for word in text.split())


def part(name: str, overrides: Sequence[str] = ()) -> Any:
    """The data set or the tokenizer of a config, without torch and all else that a cell needs."""
    return build(OmegaConf.to_container(compose(overrides)[name], resolve=True), name)
