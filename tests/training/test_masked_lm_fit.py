"""A pre-training that was cut off anywhere ends bit for bit like one that was not, in one process or in two."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import masked_checkpoints
import pytest
import torch
from cut_fits import Cut, assert_same
from safetensors.torch import load_file

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import Diverged, UserError
from kd_lab.data.masking import Masking
from kd_lab.data.packed_corpus import PackedCorpus, pack
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenizer import TokenizerFile
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.hidden_cosine import HiddenCosine
from kd_lab.losses.term.kl import KL
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.checkpoint_encoder import CheckpointEncoder
from kd_lab.models.encoder import Encoder
from kd_lab.training import masked_lm_fit
from kd_lab.training.checkpointing import LAST
from kd_lab.training.masked_lm_fit import MaskedLMSpec, PretrainedMaskedLM, pretrain
from kd_lab.training.masked_lm_start import start
from kd_lab.training.optimizer import AdamW
from kd_lab.training.step_trainer import StepTrainer

TRAINER = StepTrainer(max_steps=12, batch_size=4, precision="32-true", device="cpu", checkpoint_every=4)
CROSS_ENTROPY = WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0})


class Place:
    """A corpus, a small teacher's checkpoint and a cache."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = masked_checkpoints.write(folder / "bert")
        self.tokenizer = self.checkpoint / "tokenizer.json"
        self.folder, self.cache = folder, Cache(folder / "cache")
        self.corpus: PackedCorpus = pack(
            TextCorpus(str(masked_checkpoints.write_corpus(folder / "all.txt"))),
            TokenizerFile(self.tokenizer, 16),
            self.cache,
        )

    def made(self, spec: MaskedLMSpec, teacher: PretrainedMaskedLM | None = None, **options: Any) -> PretrainedMaskedLM:
        return pretrain(spec, self.corpus, teacher, options.pop("cache", self.cache), self.tokenizer, **options)

    def teacher(self, **changes: Any) -> MaskedLMSpec:
        found = MaskedLMSpec(
            CheckpointEncoder(str(self.checkpoint)), CROSS_ENTROPY, AdamW(head_lr=0.02), TRAINER, Masking(), "head"
        )
        return replace(found, **changes)

    def student(self, dropout: float = 0.1, **changes: Any) -> MaskedLMSpec:
        terms = {"kl": KL(2.0), "cross_entropy": CrossEntropy(), "hidden_cosine": HiddenCosine()}
        loss = WeightedSum(terms, {"kl": 5.0, "cross_entropy": 2.0, "hidden_cosine": 1.0})
        shape = {"layers": 1, "width": 32, "heads": 2, "feed_forward": 48, "max_positions": 66}
        model = Encoder("mini", "distilbert", **shape, init="teacher", keep_layers=(2,), dropout=dropout)
        return replace(MaskedLMSpec(model, loss, AdamW(encoder_lr=0.005), TRAINER, Masking(), seed=3), **changes)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Its cache keeps what any test here has made; what is cut off is made in another."""
    return Place(tmp_path_factory.mktemp("place"))


def cut_after(updates: int):
    left = [updates]

    def advance(rows: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise Cut

    return advance


def test_a_head_is_fitted_to_an_encoder_that_stays_and_a_student_learns_from_both(place):
    teacher = place.made(place.teacher(trainer=replace(TRAINER, max_steps=60)))
    about = teacher.about()
    assert about["after"]["perplexity"] < 0.75 * about["before"]["perplexity"]
    given, kept = (load_file(folder / "model.safetensors") for folder in (place.checkpoint, teacher.model))
    assert all(torch.equal(weight, kept[f"bert.{name}"]) for name, weight in given.items() if "pooler" not in name)
    student = place.made(place.student(trainer=replace(TRAINER, max_steps=60)), teacher)
    about = student.about()
    assert about["after"]["nll"] < about["before"]["nll"] - 0.2
    assert about["after"]["perplexity"] == pytest.approx(math.exp(about["after"]["nll"]))
    assert about["tokens"] == 60 * 4 * 16
    first, last = about["history"][0], about["history"][-1]
    for point in (first, last):
        parts = 5 * point["kl"] + 2 * point["cross_entropy"] + point["hidden_cosine"]
        assert point["loss"] == pytest.approx(parts, rel=1e-4)
    assert last["kl"] < first["kl"]
    assert last["update"] == 60


@pytest.mark.parametrize("accumulate", [1, 2])
def test_one_that_was_cut_off_goes_on_from_its_last_checkpoint(place, tmp_path, accumulate):
    teacher = place.made(place.teacher())
    spec = place.student(trainer=replace(TRAINER, accumulate=accumulate))
    whole = place.made(spec, teacher)
    other = Cache(tmp_path / "other")
    with pytest.raises(Cut):
        place.made(spec, teacher, cache=other, advance=cut_after(7))
    rows: list[int] = []
    went_on = place.made(spec, teacher, cache=other, advance=rows.append)
    assert rows == [4 * 4 * accumulate, *[4 * accumulate] * 8], "from the fourth update"
    assert_same(whole, went_on)
    assert not list((other.root / "masked_lm").glob(".*.unfinished"))


def test_how_often_a_checkpoint_is_written_changes_neither_name_nor_weights(place, tmp_path):
    spec = place.teacher()
    often = replace(spec, trainer=replace(TRAINER, checkpoint_every=1, strategy="ddp"))
    named = [fingerprint(masked_lm_fit.fingerprint_parts(one, "", None)) for one in (spec, often)]
    assert named[0] == named[1]
    assert_same(place.made(spec), place.made(often, cache=Cache(tmp_path / "other")))


def test_a_damaged_checkpoint_is_set_aside(place, tmp_path, capsys):
    spec, other = place.teacher(), Cache(tmp_path / "other")
    with pytest.raises(Cut):
        place.made(spec, cache=other, advance=cut_after(6))
    [path] = (other.root / "masked_lm").glob(f".*.unfinished/{LAST}")
    path.write_bytes(path.read_bytes()[:-9])
    assert_same(place.made(spec), place.made(spec, cache=other))
    assert "is set aside" in capsys.readouterr().err


def test_a_checkpoint_that_brings_a_head_is_taken_as_it_is(tmp_path):
    place = Place(tmp_path)
    fitted = place.made(place.teacher())
    for name in ("config.json", "model.safetensors"):
        (place.checkpoint / name).write_bytes((fitted.model / name).read_bytes())
    again = place.made(place.teacher())
    assert again.about()["updates"] == 0
    assert again.about()["after"] == fitted.about()["after"]
    tuned = place.made(place.teacher(tune="all"))
    assert tuned.about()["updates"] == 12
    assert tuned.about()["before"] == fitted.about()["after"]


def test_a_random_head_begins_with_how_often_each_piece_stands_in_the_corpus(place):
    model, has_head = start(place.teacher(), place.corpus, None, place.cache, place.tokenizer)
    assert not has_head
    chances = model.head_weights()["bias"].exp()
    rows = torch.from_numpy(place.corpus.rows("train").astype("int64")).flatten()
    text = rows[rows > 4]
    assert float(chances.sum()) == pytest.approx(1.0, rel=1e-5)
    often = torch.bincount(text, minlength=len(chances))
    assert float(chances[often.argmax()]) == pytest.approx(int(often.max() + 1) / (len(text) + len(chances)), rel=1e-5)


def test_a_student_from_random_weights_takes_nothing_of_its_teacher(place, tmp_path):
    teacher = place.made(place.teacher())
    spec = place.student()
    alone = replace(spec, model=replace(spec.model, init="random", keep_layers=None), loss=CROSS_ENTROPY)
    with_one, without = (place.made(alone, one, cache=Cache(tmp_path / str(one is None))) for one in (teacher, None))
    assert_same(with_one, without)


def test_a_loss_that_is_no_number_ends_it_and_leaves_no_checkpoint(place):
    with pytest.raises(Diverged, match="not finite at update"):
        place.made(place.teacher(optimizer=AdamW(head_lr=1e38)))
    assert not list((place.cache.root / "masked_lm").glob(".*.unfinished"))


def test_a_teacher_without_layers_to_give_is_refused(place):
    with pytest.raises(UserError, match="an encoder as teacher"):
        place.made(place.student())


def test_epochs_are_counted_in_rows_of_all_processes():
    trainer = StepTrainer(max_epochs=2, batch_size=4, accumulate=3, devices=2)
    assert trainer.rows_an_update == 24
    assert trainer.updates(100) == 9
    assert replace(trainer, max_steps=5).updates(100) == 5


@pytest.mark.integration
def test_two_processes_learn_as_one_with_twice_the_batch_and_go_on_where_they_were_cut_off(place, tmp_path):
    teacher = place.made(place.teacher())
    spec = place.student(dropout=0.0)
    one = place.made(replace(spec, trainer=replace(TRAINER, batch_size=8)), teacher)
    apart = replace(spec, trainer=replace(TRAINER, devices=2, strategy="ddp"))
    rows: list[int] = []
    two = place.made(apart, teacher, advance=rows.append)
    assert sum(rows) == 12 * 8
    for mine, theirs in zip(one.about()["history"], two.about()["history"], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    assert one.about()["after"]["nll"] == pytest.approx(two.about()["after"]["nll"], rel=1e-4)

    other = Cache(tmp_path / "other")

    def cut(rows: int) -> None:
        if rows and list((other.root / "masked_lm").glob(f".*.unfinished/{LAST}")):
            raise Cut

    with pytest.raises(Cut):
        place.made(apart, teacher, cache=other, advance=cut)
    assert_same(two, place.made(apart, teacher, cache=other))


@pytest.mark.integration
def test_processes_tell_of_a_loss_that_is_no_number(place):
    spec = place.teacher(optimizer=AdamW(head_lr=1e38), trainer=replace(TRAINER, devices=2))
    with pytest.raises(Diverged, match="not finite at update"):
        place.made(spec)
