"""Losses of tokens in a fit: they fall, what they own is fitted and resumed and not saved; rows without a teacher."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from cut_fits import cut_in_second_epoch
from half_labelled import HalfLabelled
from safetensors.torch import load_file

from kd_lab.core.cache import Cache
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.losses.base import Term
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.loss import Loss
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.entropy import Entropy
from kd_lab.losses.term.minilm import MiniLm
from kd_lab.losses.term.minilm_v2 import MiniLmV2
from kd_lab.losses.term.pkd import PKD
from kd_lab.losses.term.tinybert_attention import TinyBertAttention
from kd_lab.losses.term.tinybert_hidden import TinyBertHidden
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.training.fit import FitSpec, Fitted, Teacher, fit
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.teacher_outputs import LiveTeacherOutputs

TEACHER = Encoder("teacher", "bert", 4, 24, 2, 16, init="random", dropout=0.0)
NARROW = Encoder("student", "distilbert", 2, 16, 2, 16, init="random", dropout=0.0)
WIDE = Encoder("student", "distilbert", 2, 24, 2, 16, init="random", dropout=0.0)
TERMS: dict[str, tuple[Encoder, Term]] = {
    "pkd": (WIDE, PKD()),
    "tinybert_hidden": (NARROW, TinyBertHidden()),
    "tinybert_attention": (NARROW, TinyBertAttention()),
    "minilm": (NARROW, MiniLm()),
    "minilm_v2": (NARROW, MiniLmV2(relation_heads=4)),
}


def fitted(
    tokens: Tokens, folder: Path, model: Any, loss: Loss, teacher: Teacher | None = None, advance: Any = None
) -> Fitted:
    trainer = Trainer(max_epochs=2, batch_size=16, precision="32-true", device="cpu", patience=9)
    spec = FitSpec(model, loss, AdamW(encoder_lr=3e-3, head_lr=1e-2), trainer)
    told = {} if advance is None else {"advance": advance}
    return fit(spec, tokens, teacher, Cache(folder / "cache"), {"labels": tokens.classes}, {}, **told)


@pytest.fixture
def teacher(toy_tokens: Tokens, tmp_path: Path) -> Teacher:
    """One that is there at once, with weights that tell texts apart, asked live for whatever it gives."""
    trainer = Trainer(max_epochs=0, precision="32-true", device="cpu")
    labels = WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0})
    done = fit(
        FitSpec(TEACHER, labels, AdamW(), trainer),
        toy_tokens,
        None,
        Cache(tmp_path / "t"),
        {"labels": toy_tokens.classes},
        {},
    )
    model = done.load()
    torch.manual_seed(0)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.returns = frozenset({"logits", "all_hidden", "attention", "all_attention", "queries", "keys", "values"})
    live = LiveTeacherOutputs(model, "32-true")
    return Teacher(done.fingerprint, {"train": live, "validation": live}, done)


@pytest.mark.parametrize("name", TERMS)
def test_a_fit_lowers_the_term_on_train_and_validation(
    name: str, toy_tokens: Tokens, tmp_path: Path, teacher: Teacher
) -> None:
    model, term = TERMS[name]
    done = fitted(toy_tokens, tmp_path, model, WeightedSum({name: term}, {name: 1.0}), teacher)
    first, last = done.about()["history"]
    for split in ("train", "validation"):
        assert last[f"{split}/{name}"] < first[f"{split}/{name}"]
        assert last[f"{split}/{name}"] > 0


def test_the_projection_is_fitted_resumed_and_no_part_of_the_student(
    toy_tokens: Tokens, tmp_path: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss() -> Loss:
        return WeightedSum({"h": TinyBertHidden(), "ce": CrossEntropy()}, {"h": 1.0, "ce": 1.0})

    started, whole = loss(), loss()
    build = Loss.build

    def noted(self: Loss, *given: Any) -> None:
        build(self, *given)
        started.terms["h"].projection = copy.deepcopy(self.terms["h"].projection)

    with monkeypatch.context() as patch:
        patch.setattr(Loss, "build", noted)
        done = fitted(toy_tokens, tmp_path / "whole", NARROW, whole, teacher)
    before, after = (one.terms["h"].projection.weight for one in (started, whole))
    assert not torch.equal(before, after)
    assert after.shape == (24, 16)
    saved = load_file(done.model / "model.safetensors")
    assert not [name for name in saved if "projection" in name]
    assert all(weight.shape[-1] != 24 for weight in saved.values())

    again = loss()
    with cut_in_second_epoch():
        fitted(toy_tokens, tmp_path / "cut", NARROW, loss(), teacher)
    resumed = load_file(fitted(toy_tokens, tmp_path / "cut", NARROW, again, teacher).model / "model.safetensors")
    assert all(torch.equal(saved[name], resumed[name]) for name in saved)
    assert torch.equal(again.terms["h"].projection.weight, after)


def test_entropy_goes_through_rows_without_a_label_with_no_teacher(
    toy_csv: Path, bert_tokenizer: Tokenizer, own_cache: Cache, tmp_path: Path
) -> None:
    mixed = tokenise(HalfLabelled(str(toy_csv)), bert_tokenizer, own_cache)
    lstm = LstmAttention(embedding=8, hidden=8, layers=1, init="random")
    terms = {"cross_entropy": CrossEntropy(), "entropy": Entropy()}
    train = mixed.split("train")
    for weight, rows in ((0.0, len(train.labelled)), (0.5, len(train))):
        counts: list[int] = []
        loss = WeightedSum(terms, {"cross_entropy": 1.0, "entropy": weight})
        fitted(mixed, tmp_path / str(weight), lstm, loss, advance=counts.append)
        assert sum(counts) == 2 * rows


def test_a_schedule_moves_with_the_epochs_of_a_fit(toy_tokens: Tokens, tmp_path: Path, teacher: Teacher) -> None:
    seen = []

    class Noted(Hybrid):
        """Says what it was told."""

        def at_epoch(self, epoch: int, epochs: int) -> None:
            super().at_epoch(epoch, epochs)
            seen.append((epoch, epochs, self.weights["cross_entropy"], self.terms["kl"].temperature))

    fitted(toy_tokens, tmp_path, NARROW, Noted(1.0, 4.0, 0.0, alpha_end=0.25, temperature_end=2.0), teacher)
    assert seen == [(0, 2, 1.0, 4.0), (1, 2, 0.25, 2.0)]
