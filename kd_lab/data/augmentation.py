"""More text out of labelled rows: words masked or replaced, n-grams cut out; only a teacher judges what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, NonEmpty, Seed, Share
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.dataset import UNLABELLED, Split
from kd_lab.data.neighbours import in_the_case_of, neighbours
from kd_lab.data.words import Words

Factor = Annotated[int, Ge(0), Le(1000)]
_SIDES = ((True, False), (False, True), (True, True))  # of a pair which texts are changed, in turn


@dataclass(frozen=True)
class Augmentation:
    """Rows made out of labelled rows of train, without a label: a student with a teacher learns what that says of them.

    The scheme of Tang et al. 2019 (arXiv:1903.12136, section 4), but that a word is replaced by a neighbour in an
    embedding, as in TinyBERT (arXiv:1909.10351, section 3.3), in place of another of the same part of speech: each word
    is masked, else replaced, with the probabilities given; then the row is cut, with a probability, to an n-gram. Of
    pairs the first text is changed, then the second, then both. A row that says the same as another, or as a row of
    train, is left out. The same rows and options give the same rows on every machine.

    Args:
        checkpoint: whose word embedding says which words are neighbours; needed where `replace` is above 0.
        factor: rows made of each labelled row; 0 makes none.
        mask: probability that a word is masked.
        mask_word: what stands for it: the piece that a tokenizer has for a mask, or any word.
        replace: probability that a word is replaced; words that are no single piece of the checkpoint's stay.
        neighbours: of the so many nearest words one is taken, each with the same probability.
        ngram: probability that a row is cut to an n-gram.
        longest_ngram: n is 1 to this, each with the same probability.
        seed: which words, and which n-grams; apart from the fit's seed.

    Raises:
        UserError: `mask` and `replace` are more than 1 together.
    """

    checkpoint: Checkpoint
    factor: Factor = 0
    mask: Share = 0.1
    mask_word: NonEmpty = "[MASK]"
    replace: Share = 0.1
    neighbours: Count = 15
    ngram: Share = 0.25
    longest_ngram: Count = 5
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.mask + self.replace > 1:
            got = f"{self.mask:g} + {self.replace:g}"
            cure = f"Choose e.g. dataset.augmentation.replace={1 - self.mask:g}."
            raise UserError("dataset.augmentation", expected="mask + replace up to 1", got=got, cure=cure)

    def fingerprint_parts(self) -> dict[str, Any]:
        """The options that have an effect."""
        if not self.factor:
            return {}
        parts: dict[str, Any] = {"factor": self.factor, "seed": self.seed}
        if self.mask:
            parts |= {"mask": self.mask, "mask_word": self.mask_word}
        if self.replace:
            parts |= {"replace": self.replace, "neighbours": self.neighbours, "checkpoint": self.checkpoint}
        if self.ngram:
            parts |= {"ngram": self.ngram, "longest_ngram": self.longest_ngram}
        return parts

    def rows(self, train: Split) -> tuple[Split, tuple[str, ...]]:
        """Train with the rows made out of it below, and a line that counts them.

        Raises:
            UserError: the checkpoint is not to be had.
        """
        labelled = np.flatnonzero(train.labels != UNLABELLED)
        if not self.factor or not len(labelled):
            return train, ()
        sources = [[Words.of(side[row], self.mask_word) for side in _sides(train)] for row in labelled.tolist()]
        every = {one[place] for one in chain.from_iterable(sources) for place in range(len(one))} - {self.mask_word}
        near = neighbours(every, self.neighbours, self.checkpoint) if self.replace else {}
        seen = set(map(_plain, zip(*_sides(train), strict=True)))
        random = np.random.default_rng(self.seed)
        made: list[tuple[str, ...]] = []
        for source in sources:
            drawn = [self._of(side, near, random) for side in source]
            for number in range(self.factor):
                changed = (True,) if len(source) == 1 else _SIDES[number % len(_SIDES)]
                row = tuple(
                    texts[number] if other else side.text
                    for texts, side, other in zip(drawn, source, changed, strict=True)
                )
                if (key := _plain(row)) not in seen:
                    seen.add(key)
                    made.append(row)
        asked = self.factor * len(labelled)
        told = f"augmentation: {len(made):,} rows out of {len(labelled):,} labelled ones"
        if same := asked - len(made):
            told += f"; {same:,} more say the same as others and are left out"
        return train.with_unlabelled(made), (told,)

    def _of(self, words: Words, near: Mapping[str, Sequence[str]], random: np.random.Generator) -> list[str]:
        """`factor` texts made out of one."""
        shape = (self.factor, len(words))
        kinds, picks = random.random(shape), random.integers(self.neighbours, size=shape)
        cut, lengths = random.random(self.factor), random.integers(1, self.longest_ngram + 1, size=self.factor)
        starts = random.random(self.factor)
        found = []
        for number, (kind, pick) in enumerate(zip(kinds, picks, strict=True)):
            new = {}
            for place in np.flatnonzero(kind < self.mask + self.replace).tolist():
                if kind[place] < self.mask:
                    new[place] = self.mask_word
                elif others := near.get(words[place]):
                    new[place] = in_the_case_of(words[place], others[pick[place] % len(others)])
            if cut[number] < self.ngram and len(words):
                length = min(int(lengths[number]), len(words))
                found.append(words.ngram(int(starts[number] * (len(words) - length + 1)), length, new))
            else:
                found.append(words.changed(new))
        return found


def _sides(split: Split) -> list[Sequence[str]]:
    return [split.texts] if split.pairs is None else [split.texts, split.pairs]


def _plain(row: Sequence[str]) -> tuple[str, ...]:
    """The row, blanks as one between words."""
    return tuple(" ".join(text.split()) for text in row)
