"""A fit is deterministic, keeps its best epoch, stops on NaN, and learns the same from a cached and a live teacher."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from cut_fits import assert_same
from half_labelled import HalfLabelled
from safetensors.torch import load_file

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import FitError, UserError
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import tokenise
from kd_lab.losses.base import Term
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.kl import KL
from kd_lab.losses.term.logit_mse import LogitMse
from kd_lab.losses.term.sequence import Sequence
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.training.fit import FitSpec, Teacher, fingerprint_parts, fit
from kd_lab.training.lightning_module import Distillation
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.teacher_outputs import CachedTeacherOutputs, LiveTeacherOutputs, logits_of

EXACT = ("cpu", "32-true")
TOLERANCE = 2e-4  # of a loss: rounding differs with the rows beside a row


def spec(**changes):
    given = {
        "model": LstmAttention(embedding=8, hidden=8, layers=1, dropout=0.1, init="random"),
        "loss": WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0}),
        "optimizer": AdamW(head_lr=0.02),
        "trainer": Trainer(max_epochs=2, batch_size=16, precision="32-true", device="cpu"),
    }
    return FitSpec(**{**given, **changes})


def encoder():
    return Encoder("tiny", "bert", layers=1, width=16, heads=2, feed_forward=16, init="random")


def fitted(toy_tokens, root, teacher=None, trainer=None, **changes):
    if trainer is not None:
        changes["trainer"] = replace(spec().trainer, **trainer)
    return fit(spec(**changes), toy_tokens, teacher, Cache(root / "cache"), {"labels": toy_tokens.classes}, {})


def head(fitted):
    return load_file(fitted.model / "model.safetensors")["classifier.weight"]


@pytest.fixture
def teacher(toy_tokens, tmp_path):
    return fitted(toy_tokens, tmp_path / "teacher", model=encoder())


@pytest.fixture
def sure(toy_tokens, tmp_path):
    """A teacher that says something else of each row, so that a loss tells the rows apart."""
    optimizer = AdamW(encoder_lr=0.02, head_lr=0.02)
    return fitted(toy_tokens, tmp_path / "sure", optimizer=optimizer, trainer={"max_epochs": 8})


def cached(teacher, toy_tokens, root):
    return {
        split: CachedTeacherOutputs(
            logits_of(teacher.fingerprint, teacher.load, toy_tokens, split, EXACT, Cache(root / "cache"))
        )
        for split in ("train", "validation")
    }


def test_cached_logits_lie_near_where_they_are_learned_from_unless_they_are_large(monkeypatch):
    """The device that computes nothing stands for a GPU."""
    cached = CachedTeacherOutputs(torch.ones(4, 3))
    assert cached.to_device("cpu") is cached
    assert cached.to_device("meta").device.type == "meta"
    monkeypatch.setattr("kd_lab.training.teacher_outputs._NEAR_BYTES", 47)
    assert cached.to_device("meta") is cached


def test_the_same_fit_gives_the_same_weights_and_another_seed_others_under_another_name(toy_tokens, tmp_path):
    first, second = (fitted(toy_tokens, tmp_path / name) for name in ("a", "b"))
    assert first.fingerprint == second.fingerprint
    assert_same(first, second)
    third = fitted(toy_tokens, tmp_path / "a", seed=1)
    assert first.fingerprint != third.fingerprint
    assert not torch.equal(head(first), head(third))


def test_rows_without_a_label_are_learned_from_only_where_a_teacher_judges_them(
    toy_csv, bert_tokenizer, own_cache, tmp_path
):
    mixed = tokenise(HalfLabelled(str(toy_csv)), bert_tokenizer, own_cache)
    rows, labelled = len(mixed.split("train")), len(mixed.split("train").labelled)
    assert labelled < rows
    seen = {}

    def learned(name, loss, teacher=None):
        counts = []
        given = {"labels": mixed.classes}
        found = fit(spec(loss=loss), mixed, teacher, Cache(tmp_path / name), given, {}, counts.append)
        seen[name] = sum(counts)
        return found

    taught_by = learned("labels", spec().loss)
    answers = cached(taught_by, mixed, tmp_path)
    learned(
        "both",
        Hybrid(alpha=0.5, temperature=2.0, sequence_weight=0.0),
        Teacher(taught_by.fingerprint, answers, taught_by),
    )
    learned("labels of hybrid", Hybrid(alpha=1.0, temperature=2.0, sequence_weight=0.0))
    assert seen == {"labels": 2 * labelled, "labels of hybrid": 2 * labelled, "both": 2 * rows}


def test_a_fit_learns_what_can_be_learned(toy_tokens, tmp_path):
    history = fitted(toy_tokens, tmp_path, trainer={"max_epochs": 20, "patience": 20}).about()["history"]
    assert history[-1]["validation/accuracy"] > 0.8
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    assert [name for name in history[0] if name.startswith("train/")] == ["train/cross_entropy", "train/loss"], (
        "each figure once"
    )


def test_the_second_call_trains_nothing(toy_tokens, tmp_path, monkeypatch):
    first = fitted(toy_tokens, tmp_path)
    monkeypatch.setattr(Distillation, "training_step", None)
    assert fitted(toy_tokens, tmp_path).folder == first.folder


def test_without_epochs_the_model_is_as_it_starts(toy_tokens, tmp_path):
    untouched, once = (fitted(toy_tokens, tmp_path, trainer={"max_epochs": epochs}) for epochs in (0, 1))
    assert untouched.about()["history"] == []
    assert not untouched.load().training
    assert not torch.equal(head(untouched), head(once))


def test_the_best_epoch_is_kept_not_the_last(toy_tokens, tmp_path):
    ruin = AdamW(head_lr=3.0, warmup=1.0, weight_decay=0.0)  # the rate grows until it destroys what was learned
    done = fitted(toy_tokens, tmp_path, optimizer=ruin, trainer={"max_epochs": 6, "patience": 6})
    reached = [epoch["validation/accuracy"] for epoch in done.about()["history"]]
    assert reached[-1] < max(reached)
    logits = logits_of(done.fingerprint, done.load, toy_tokens, "validation", EXACT, Cache(tmp_path / "cache"))
    right = (logits.argmax(1).numpy() == toy_tokens.split("validation").labels).mean()
    assert right == pytest.approx(max(reached), abs=1e-6)


def test_patience_stops_a_fit_that_no_longer_gets_better(toy_tokens, tmp_path):
    still = AdamW(head_lr=0.0, encoder_lr=0.0)
    done = fitted(toy_tokens, tmp_path, optimizer=still, trainer={"max_epochs": 9, "patience": 2})
    assert len(done.about()["history"]) == 3


class Poison(Term):
    """Not a number from the third call on."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, student, batch):
        self.calls += 1
        return student.logits.sum() * (float("nan") if self.calls > 2 else 0.0)


def test_a_loss_that_turns_nan_stops_the_fit_and_names_step_and_term(toy_tokens, tmp_path):
    terms = {"cross_entropy": CrossEntropy(), "poison": Poison()}
    loss = WeightedSum(terms, {"cross_entropy": 1.0, "poison": 1.0})
    with pytest.raises(FitError, match=r"step 2: poison = nan"):
        fitted(toy_tokens, tmp_path, loss=loss)
    assert not list((tmp_path / "cache" / "fit").glob("*/manifest.json"))


def test_a_cached_and_a_live_teacher_give_the_same_losses(toy_tokens, tmp_path, sure, monkeypatch):
    """In each step of a fit, and in each epoch."""
    terms = {"kl": KL(4.0), "sequence": Sequence(), "logit_mse": LogitMse()}
    loss = WeightedSum(terms, dict.fromkeys(terms, 1.0))
    steps = []
    step = Distillation.training_step

    def note(self, batch, index):
        total = step(self, batch, index)
        steps.append({name: float(part) for name, part in self._parts.items()})
        return total

    monkeypatch.setattr(Distillation, "training_step", note)
    live = LiveTeacherOutputs(sure.load(), "32-true")
    answers = {"cached": cached(sure, toy_tokens, tmp_path), "live": dict.fromkeys(("train", "validation"), live)}
    histories = [
        fitted(toy_tokens, tmp_path / name, Teacher(sure.fingerprint, given, sure), loss=loss).about()["history"]
        for name, given in answers.items()
    ]
    assert len(steps) == 2 * 2 * len(BatchLoader(toy_tokens.split("train"), 16, 0))
    half = len(steps) // 2
    histories = [steps[:half] + histories[0], steps[half:] + histories[1]]
    for one, two in zip(*histories, strict=True):
        assert one == pytest.approx(two, abs=TOLERANCE)
    assert steps[0].keys() == terms.keys()
    assert {"train/kl", "validation/kl"} <= histories[0][-1].keys()


def test_teacher_outputs_reach_the_rows_they_belong_to(toy_tokens, tmp_path, teacher):
    answers = cached(teacher, toy_tokens, tmp_path)["train"]
    model = teacher.load()
    for batch in BatchLoader(toy_tokens.split("train"), 16, toy_tokens.pad_id, seed=3):
        assert torch.allclose(answers(batch).logits, model(batch).logits, atol=1e-4)


def wrong(entry, name, array):
    """As if another version had paired a cached array so, and this process had not looked at it."""
    from kd_lab.core import cache
    from kd_lab.training import teacher_outputs

    np.save(entry / name, array)
    refreshed = json.loads((entry / "manifest.json").read_text())
    refreshed["files"][name] = [(entry / name).stat().st_size, cache.file_hash(entry / name)]
    (entry / "manifest.json").write_text(json.dumps(refreshed))
    cache._checked.clear()
    teacher_outputs._verified.clear()


@pytest.mark.parametrize("kind", ["rolled", "short", "ids"])
def test_cached_outputs_paired_with_other_rows_are_set_aside_and_made_anew(toy_tokens, tmp_path, teacher, kind):
    given = (teacher.fingerprint, teacher.load, toy_tokens, "train", EXACT)
    right = logits_of(*given, Cache(tmp_path / "cache")).clone()
    [entry] = (tmp_path / "cache" / "outputs").glob("[!.]*")
    if kind == "ids":
        wrong(entry, "row_ids.npy", np.arange(len(right))[::-1])
    else:  # "rolled" is the pairing that shuffling without ids has given others
        wrong(entry, "logits.npy", np.roll(right.numpy(), 1, axis=0) if kind == "rolled" else right.numpy()[:-1])
    later = Cache(tmp_path / "cache")
    assert torch.equal(logits_of(*given, later), right)
    [warned] = later.warnings
    assert ("rows recomputed at random" if kind == "rolled" else "other row ids") in warned
    assert (tmp_path / "cache" / "outputs" / f".{entry.name}.damaged-1").is_dir()


def test_cached_outputs_that_are_wrong_after_they_were_made_anew_stop_the_run(toy_tokens, tmp_path, teacher):
    given = (teacher.fingerprint, teacher.load, toy_tokens, "train", EXACT)
    right = logits_of(*given, Cache(tmp_path / "cache")).clone()

    class Rolled(Cache):
        """Where another process always makes them wrong."""

        def build(self, kind, parts, make):
            folder = super().build(kind, parts, make)
            wrong(folder, "logits.npy", np.roll(right.numpy(), 1, axis=0))
            return super().build(kind, parts, make)

    with pytest.raises(UserError, match=r"rows recomputed at random, though made anew.*paths\.cache="):
        logits_of(*given, Rolled(tmp_path / "cache"))


def test_a_baseline_does_not_depend_on_its_teacher_and_a_student_does(toy_tokens):
    assert fingerprint(fingerprint_parts(spec(), "t", "one")) == fingerprint(fingerprint_parts(spec(), "t", "two"))
    student = spec(loss=Hybrid(0.5, 2.0, 0.0))
    assert fingerprint(fingerprint_parts(student, "t", "one")) != fingerprint(fingerprint_parts(student, "t", "two"))


def test_a_loss_that_needs_a_teacher_is_refused_before_anything_is_fitted(toy_tokens, tmp_path):
    with pytest.raises(UserError, match="Choose a teacher"):
        fitted(toy_tokens, tmp_path, loss=Hybrid(0.5, 2.0, 0.0))


def test_batches_are_added_up_and_an_epochs_last_update_weighs_its_rows_as_the_others_do(
    toy_tokens, tmp_path, monkeypatch
):
    """Lightning divides by the batches of a whole update, however few there are."""
    shares, updates = [], []
    share, before_update = Distillation._share_of_update, Distillation.on_before_optimizer_step

    def look(self, number):
        shares.append(share(self, number))
        return shares[-1]

    def count(self, optimizer):
        updates.append(1)
        before_update(self, optimizer)

    several = {"max_epochs": 1, "batch_size": 8, "accumulate": 4}
    monkeypatch.setattr(Distillation, "on_before_optimizer_step", count)
    monkeypatch.setattr(Distillation, "_share_of_update", look)
    ours = fitted(toy_tokens, tmp_path, trainer=several)
    assert len(shares) == len(BatchLoader(toy_tokens.split("train"), 8, 0))
    assert len(updates) == -(-len(shares) // 4)
    monkeypatch.setattr(Distillation, "_share_of_update", lambda *_: 1.0)
    plain = fitted(toy_tokens, tmp_path / "plain", trainer=several)
    assert not torch.equal(head(ours), head(plain)), "it has its say"
    left = len(shares) % 4
    assert left, "the toy rows make no whole number of updates"
    assert shares == [1.0] * (len(shares) - left) + [4 / left] * left


def test_a_student_that_starts_from_its_teacher_has_its_layers(toy_tokens, tmp_path, teacher):
    copy = Encoder("copy", "bert", 1, 16, 2, 16, init="teacher", keep_layers=(0,))
    still = AdamW(encoder_lr=0.0, head_lr=0.0)
    student = fitted(toy_tokens, tmp_path, Teacher(teacher.fingerprint, {}, teacher), model=copy, optimizer=still)
    name = "bert.encoder.layer.0.output.dense.weight"
    assert torch.equal(student.load().net.state_dict()[name], teacher.load().net.state_dict()[name])


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_epochs", -1), ("batch_size", -1), ("monitor", "loss2"), ("device", "tpu"), ("precision", "8")],
)
def test_an_impossible_trainer_option_is_named(option, value):
    with pytest.raises(UserError, match=f"trainer.{option}"):
        Trainer(**{option: value})
