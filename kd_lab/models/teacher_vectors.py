"""Word vectors out of a teacher: its own embedding, or what it says of each word piece alone."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kd_lab.core.code_hash import code_hash
from kd_lab.core.errors import UserError
from kd_lab.core.progress import step
from kd_lab.core.types import Batch
from kd_lab.data.tokenizer_file import read_tokenizer
from kd_lab.models.base import TorchClassifier
from kd_lab.models.spec import BuildContext
from kd_lab.models.word_embedding import embedding_module, has_word_embedding

_ROWS = 512  # pieces that the teacher reads at a time
_SIF = 1e-4  # a of a / (a + p), as in model2vec and in Arora et al.


def of_table(context: BuildContext, width: int) -> tuple[Tensor, Tensor]:
    """(ids of all pieces, (V, width or fewer)): the teacher's word embedding, its principal components where wider.

    Raises:
        UserError: there is no teacher, or it knows fewer pieces.
    """
    teacher = _teacher(context)
    if not has_word_embedding(teacher):
        raise _refused("a teacher with a word embedding", type(teacher).__name__)
    with torch.no_grad():
        ids = torch.arange(context.vocab_size)
        table = embedding_module(teacher).cpu()
        rows = getattr(table, "num_embeddings", context.vocab_size)
        if rows < context.vocab_size:
            raise _refused(f"one that knows {context.vocab_size} pieces", f"one of {rows}")
        vectors: Tensor = table(ids).float()
    return ids, components(vectors, width)


def of_outputs(context: BuildContext, width: int) -> tuple[Tensor, Tensor]:
    """(ids of all pieces, (V, width or fewer)): the teacher's states of each piece alone, as model2vec takes them.

    Each piece stands between the pieces that frame a text. The mean of the last layer's states over all of these is
    reduced to its principal components and multiplied by a / (a + p), the weight of smooth inverse frequency (Arora et
    al., ICLR 2017), with p as Zipf's law gives it (github.com/MinishLab/model2vec). Unlike there, whose vocabularies
    are in the order of frequency, pieces are ranked by how often they occur in train, those that are alike by number.

    Raises:
        UserError: there is no teacher.
    """
    teacher = _teacher(context)
    parts = {
        "teacher": context.teacher_fingerprint,
        "tokens": context.tokens,
        "width": width,
        "code": code_hash("kd_lab.models.teacher_vectors"),
    }
    if context.teacher_fingerprint is None:  # a teacher that has no name
        return torch.arange(context.vocab_size), _weighted(context, teacher, width)

    def make(draft: Path) -> None:
        save_file({"vectors": _weighted(context, teacher, width).contiguous()}, draft / "vectors.safetensors")

    folder = context.cache.build("teacher_vectors", parts, make)
    return torch.arange(context.vocab_size), load_file(folder / "vectors.safetensors")["vectors"]


def components(vectors: Tensor, width: int) -> Tensor:
    """(V, width): the first principal components of (V, H), centred, largest first; `vectors` if H is no larger.

    A component's sign is chosen so that its largest entry is above 0.
    """
    if vectors.shape[1] <= width:
        return vectors
    centred = (vectors - vectors.mean(0)).double()
    _, axes = torch.linalg.eigh(centred.T @ centred)  # ascending
    kept = axes[:, -width:].flip(1)
    signs = kept.gather(0, kept.abs().argmax(0, keepdim=True)).sign()
    scores: Tensor = centred @ (kept * signs)
    return scores.float()


def rarity(counts: Tensor) -> Tensor:
    """(V,) weights a / (a + p) of pieces by how often they occur, p being Zipf's: 1 / rank, over the sum of all."""
    ranks = torch.empty(len(counts), dtype=torch.float64)
    ranks[torch.sort(counts, descending=True, stable=True).indices] = torch.arange(1, len(counts) + 1).double()
    share = (1 / ranks) / (1 / ranks).sum()
    weights: Tensor = _SIF / (_SIF + share)
    return weights.float()


def _weighted(context: BuildContext, teacher: TorchClassifier, width: int) -> Tensor:
    counted = Counter(chain.from_iterable(context.sentences()))
    counts = torch.tensor([counted[str(piece)] for piece in range(context.vocab_size)])
    return components(_states(context, teacher), width) * rarity(counts)[:, None]


def _states(context: BuildContext, teacher: TorchClassifier) -> Tensor:
    """(V, H): the mean of the teacher's last states over each piece and what frames it."""
    before, after = _frame(context)
    returned, teacher.returns = teacher.returns, frozenset({"logits", "hidden"})
    found = []
    try:
        with torch.inference_mode(), step("teacher on each word piece alone", context.vocab_size) as advance:
            for ids in torch.split(torch.arange(context.vocab_size), _ROWS):
                rows = torch.cat([before.expand(len(ids), -1), ids[:, None], after.expand(len(ids), -1)], 1)
                hidden = teacher.eval()(Batch(ids, rows, torch.ones_like(rows), ids)).hidden
                assert hidden is not None
                found.append(hidden.mean(1).float())
                advance(len(ids))
    finally:
        teacher.returns = returned
    return torch.cat(found).clone()


def _frame(context: BuildContext) -> tuple[Tensor, Tensor]:
    """The pieces that stand before and behind a text, such as [CLS] and [SEP]."""
    if context.tokenizer is None:
        nothing = torch.empty(0, dtype=torch.int64)
        return nothing, nothing
    reader = read_tokenizer(context.tokenizer, expected="a fast tokenizer", cure="Choose another checkpoint.")
    framed = reader.encode("a")
    inner = [place for place, added in enumerate(framed.special_tokens_mask) if not added]
    first, last = (inner[0], inner[-1] + 1) if inner else (0, 0)
    ids = torch.tensor(framed.ids, dtype=torch.int64)
    return ids[:first], ids[last:]


def _teacher(context: BuildContext) -> TorchClassifier:
    if context.teacher is None:
        raise _refused("a teacher that is a model, for its word vectors", "none")
    return context.teacher


def _refused(expected: str, got: str) -> UserError:
    cure = "Choose a teacher, e.g. teacher=minilm, or model.init=word2vec."
    return UserError("model.init", expected=expected, got=got, cure=cure)
