"""What a pre-training is made from, and the model as it starts: its encoder and where its head comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.masking import Masking
from kd_lab.data.packed_corpus import PackedCorpus
from kd_lab.data.piece_counts import occurrences
from kd_lab.losses.loss import Loss
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.masked_lm import MaskedLM, head_of, of_classifier
from kd_lab.models.spec import BuildContext, ModelSpec
from kd_lab.models.weights_file import read_tensors
from kd_lab.training.optimizer import AdamW
from kd_lab.training.step_trainer import StepTrainer

Tune = Literal["all", "head"]
HEAD = "head"  # of `Tune`
_COUNTED = 100_000  # rows in which pieces are counted


@dataclass(frozen=True)
class MaskedLMSpec:
    """All that decides a pre-trained model but its corpus and its teacher.

    Args:
        tune: "head" leaves the encoder as its checkpoint has it; where that has a head too, nothing is fitted.
    """

    model: ModelSpec
    loss: Loss
    optimizer: AdamW
    trainer: StepTrainer
    masking: Masking
    tune: Tune = "all"
    seed: int = 0


def start(
    spec: MaskedLMSpec, corpus: PackedCorpus, teacher: MaskedLM | None, cache: Cache, tokenizer: Path
) -> tuple[MaskedLM, bool]:
    """The model as it starts, in training mode, and whether its checkpoint brought a head.

    A head that none brought is the teacher's, where the encoder starts from weights too and is as wide; else random,
    its bias the log of how often each piece stands in the corpus: to learn that alone would take a hundred updates.

    Args:
        teacher: None without one.

    Raises:
        UserError: the weights that it should start from are not to be had, or do not fit.
    """
    torch.manual_seed(spec.seed)
    from_teacher = spec.model.starts_from_teacher
    context = BuildContext(
        classes=2,
        vocab_size=corpus.vocab_size,
        pad_id=corpus.pad_id,
        tokens=corpus.fingerprint,
        sentences=lambda: (),
        cache=cache,
        teacher=teacher.as_classifier() if teacher is not None and from_teacher else None,
        tokenizer=tokenizer,
    )
    built = spec.model.build(context)
    if not isinstance(built, EncoderClassifier):
        cure = "Choose an encoder, e.g. model=distilbert_mini."
        raise UserError("model", expected="an encoder", got=type(built).__name__, cure=cure)
    model = of_classifier(built, corpus.vocab_size)
    source = getattr(spec.model, "reads_with", None)
    head = None if source is None else head_of(read_tensors(source.weights()))
    has_head = head is not None and model.take_head(head)
    of_teacher = teacher is not None and (from_teacher or source is not None)
    if not has_head and not (of_teacher and teacher and model.take_head(teacher.head_weights())):
        _begin_with_frequencies(model, corpus)
    return model.train(), has_head


def _begin_with_frequencies(model: MaskedLM, corpus: PackedCorpus) -> None:
    counts = 1.0 + occurrences(corpus.rows("train")[:_COUNTED].reshape(-1), corpus.vocab_size)
    counts[list(corpus.special)] = 1
    with torch.no_grad():
        logs = torch.from_numpy(np.log(counts / counts.sum())).float()
        model.head_weights()["bias"][: corpus.vocab_size] = logs
