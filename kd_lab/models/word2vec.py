"""Word vectors that are trained on the training split's word pieces, by gensim."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kd_lab.core.code_hash import code_hash
from kd_lab.models.spec import BuildContext


def trained(context: BuildContext, width: int, epochs: int, seed: int) -> tuple[Tensor, Tensor]:
    """(ids of pieces that occur, (their number, width) vectors), from the cache or trained now."""
    parts = {
        "tokens": context.tokens,
        "embedding": width,
        "epochs": epochs,
        "seed": seed,
        "code": code_hash("kd_lab.models.word2vec"),
    }
    folder = context.cache.build("word2vec", parts, partial(_train, context, width, epochs, seed))
    found = load_file(folder / "vectors.safetensors")
    return found["ids"], found["vectors"]


def _train(context: BuildContext, width: int, epochs: int, seed: int, draft: Path) -> None:
    from gensim.models import Word2Vec

    vectors = Word2Vec(
        _EachTime(context.sentences),
        vector_size=width,
        epochs=epochs,
        seed=seed,
        min_count=1,
        sg=1,
        workers=1,  # more than one thread makes the vectors differ from run to run
    ).wv
    ids = torch.tensor([int(piece) for piece in vectors.index_to_key])
    save_file({"ids": ids, "vectors": torch.from_numpy(np.asarray(vectors.vectors))}, draft / "vectors.safetensors")


@dataclass(frozen=True)
class _EachTime:
    """Sentences that are read anew in each pass: there may be more than memory should hold."""

    sentences: Callable[[], Iterable[list[str]]]

    def __iter__(self) -> Iterator[list[str]]:
        return iter(self.sentences())
