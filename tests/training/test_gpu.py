"""On a GPU a fit, a teacher's passes and a whole sweep give what the CPU gives; `pytest -m gpu` where there is one."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from kd_lab.__main__ import command
from kd_lab.core.errors import FitError
from kd_lab.core.results import read
from kd_lab.data.loader import BatchLoader
from kd_lab.evaluation.inference import autocast, predict
from kd_lab.losses.hybrid import Hybrid
from kd_lab.losses.term.hidden_cosine import HiddenCosine
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.training.cuda_graphs import GraphReplay
from kd_lab.training.loop import train
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer
from kd_lab.training.teacher_outputs import CachedTeacherOutputs, LiveTeacherOutputs, logits_of

pytestmark = pytest.mark.gpu
SHAPE = {"layers": 2, "width": 32, "heads": 4, "feed_forward": 64, "max_positions": 128, "init": "random"}
DISTILBERT = Encoder("small", "distilbert", dropout=0.0, **SHAPE)
BERT = Encoder("small", "bert", dropout=0.0, **SHAPE)
LSTM = LstmAttention(embedding=16, hidden=16, layers=2, dropout=0.0, init="random")
ADAMW = AdamW(encoder_lr=1e-3, head_lr=3e-3)
LOSS = Hybrid(0.5, 2.0, 0.2)
CPU = Trainer(max_epochs=2, batch_size=8, precision="32-true", device="cpu")
CUDA = replace(CPU, device="cuda")


@pytest.fixture(autouse=True)
def _mode():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def make(toy_tokens, own_cache):
    tokens = toy_tokens
    context = BuildContext(
        len(tokens.classes), tokens.vocab_size, tokens.pad_id, tokens.fingerprint, tokens.sentences, own_cache
    )

    def made(spec, seed=0):
        torch.manual_seed(seed)
        return spec.build(context)

    return made


def answers(tokens):
    random = torch.Generator().manual_seed(1)
    return {
        split: CachedTeacherOutputs(3 * torch.randn(len(tokens.split(split)), 3, generator=random))
        for split in ("train", "validation")
    }


def fitted(model, tokens, settings, folder, *, loss=LOSS, said=None, **more):
    folder.mkdir(exist_ok=True)
    about = train(model, loss, ADAMW, settings, 5, tokens, said or answers(tokens), folder, keep="last", **more)
    return about["history"]


@pytest.mark.parametrize("spec", [DISTILBERT, BERT, LSTM], ids=["distilbert", "bert", "lstm"])
@pytest.mark.parametrize("lie", ["cpu", "cuda"])
def test_a_fit_learns_what_it_learns_on_the_cpu(lie, spec, make, toy_tokens, tmp_path):
    """Wherever the teacher's logits lie."""
    here, there = make(spec), make(spec)
    ours = fitted(here, toy_tokens, CPU, tmp_path / "cpu")
    said = {split: cached.to_device(lie) for split, cached in answers(toy_tokens).items()}
    assert {cached.device.type for cached in said.values()} == {lie}
    theirs = fitted(there, toy_tokens, CUDA, tmp_path / "cuda", said=said)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        assert other["train/loss"] == pytest.approx(one["train/loss"], rel=2e-3)
        assert other["validation/loss"] == pytest.approx(one["validation/loss"], rel=5e-3)
    rows = toy_tokens.split("test")
    said = [predict(model, rows, toy_tokens.pad_id, "cpu", "32-true") for model in (here, there)]
    torch.testing.assert_close(said[1], said[0], rtol=0, atol=0.05)
    assert {weight.device.type for weight in there.parameters()} == {"cpu"}


def test_a_fit_ends_with_the_same_weights_every_time_also_after_other_passes(make, toy_tokens, tmp_path):
    """cuBLAS is told to be deterministic before its first product, or a fit in this process is refused."""
    spec, settings = replace(DISTILBERT, dropout=0.2), replace(CUDA, precision="bf16-mixed")
    first, second = make(spec), make(spec)
    predict(make(spec).cuda().eval(), toy_tokens.split("test"), toy_tokens.pad_id, "cuda", "bf16-mixed")
    for number, model in enumerate((first, second)):
        fitted(model, toy_tokens, settings, tmp_path / str(number))
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_fit_that_was_cut_off_ends_with_the_same_weights(make, toy_tokens, tmp_path):
    spec = replace(DISTILBERT, dropout=0.2)
    whole, cut, resumed = make(spec), make(spec), make(spec)
    fitted(whole, toy_tokens, CUDA, tmp_path / "whole")

    def watch(epoch, logged):
        if epoch == 1:
            raise FitError("cut off")

    with pytest.raises(FitError, match="cut off"):
        fitted(cut, toy_tokens, CUDA, tmp_path / "parts", observe=watch)
    fitted(resumed, toy_tokens, CUDA, tmp_path / "parts")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("spec", [DISTILBERT, BERT], ids=["distilbert", "bert"])
def test_a_recorded_pass_gives_the_logits_and_gradients_of_the_model(spec, precision, make, toy_tokens):
    """With dropout too: recording draws the same numbers. BatchLoader of a shape differ in their padding."""
    model = make(replace(spec, dropout=0.2)).cuda()
    replay, shapes = GraphReplay(model), set()
    for number, batch in enumerate(BatchLoader(toy_tokens.split("train"), 8, toy_tokens.pad_id, seed=0)):
        moved = batch._replace(input_ids=batch.input_ids.cuda(), attention_mask=batch.attention_mask.cuda())
        long = -(-batch.input_ids.shape[1] // 8) * 8 - batch.input_ids.shape[1]
        padded = moved._replace(
            input_ids=torch.nn.functional.pad(moved.input_ids, (0, long), value=toy_tokens.pad_id),
            attention_mask=torch.nn.functional.pad(moved.attention_mask, (0, long)),
        )
        found = []
        for call, given in ((replay, moved), (model, padded)):
            torch.manual_seed(number)
            model.zero_grad()
            with autocast("cuda", precision):
                logits = call(given).logits
            torch.nn.functional.cross_entropy(logits, batch.labels.cuda()).backward()
            weights = [torch.zeros_like(one) if one.grad is None else one.grad.clone() for one in model.parameters()]
            found.append((logits.detach().clone(), weights))
        (logits, gradients), (expected, needed) = found
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
        for one, other in zip(gradients, needed, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
        shapes.add(padded.input_ids.shape)
    assert 0 < len(replay._recorded) <= len(shapes)


def test_a_loss_that_is_no_number_ends_a_fit(make, toy_tokens, tmp_path):
    said = answers(toy_tokens)
    said["train"].logits[3] = float("nan")
    with pytest.raises(FitError, match=r"not finite at step \d+: kl = nan"):
        fitted(make(DISTILBERT), toy_tokens, CUDA, tmp_path / "fit", said=said)


def test_batches_are_added_up_where_an_update_takes_several(make, toy_tokens, tmp_path):
    here, there = make(DISTILBERT), make(DISTILBERT)
    ours = fitted(here, toy_tokens, replace(CPU, accumulate=2), tmp_path / "cpu")
    theirs = fitted(there, toy_tokens, replace(CUDA, accumulate=2), tmp_path / "cuda")
    assert theirs[-1]["train/loss"] == pytest.approx(ours[-1]["train/loss"], rel=2e-3)


def test_a_live_teacher_answers_on_the_gpu(make, toy_tokens, tmp_path):
    loss = WeightedSum({"hidden_cosine": HiddenCosine()}, {"hidden_cosine": 1.0})
    histories = []
    for settings in (CPU, CUDA):
        teacher = make(DISTILBERT, seed=1).eval()
        teacher.returns = frozenset({"hidden", "logits"})
        said = dict.fromkeys(("train", "validation"), LiveTeacherOutputs(teacher, "32-true"))
        folder = tmp_path / settings.device
        histories.append(fitted(make(DISTILBERT), toy_tokens, settings, folder, loss=loss, said=said))
    ours, theirs = histories
    assert theirs[-1]["train/loss"] == pytest.approx(ours[-1]["train/loss"], rel=5e-3)


@pytest.mark.parametrize("spec", [DISTILBERT, BERT, LSTM], ids=["distilbert", "bert", "lstm"])
def test_a_teachers_logits_are_those_of_the_cpu(spec, make, toy_tokens, own_cache, monkeypatch):
    model = make(spec).eval()
    rows = toy_tokens.split("train")
    expected = predict(model, rows, toy_tokens.pad_id, "cpu", "32-true")
    for attempt in range(2):  # the second reads the cache, and recomputes a few rows
        if attempt:
            monkeypatch.setattr("kd_lab.training.teacher_outputs._verified", set())
        said = logits_of("fit", lambda: copy.deepcopy(model), toy_tokens, "train", ("cuda", "32-true"), own_cache)
        torch.testing.assert_close(said, expected, rtol=0, atol=1e-4)


def test_a_sweep_runs_on_the_gpu(toy_csv, tmp_path):
    small = [f"{where}.{name}={value}" for where in ("model", "teacher.model") for name, value in SHAPE.items()]
    line = [
        "-m", "dataset=csv", f"dataset.path={toy_csv}", "model=distilbert", "teacher=bert_base", *small,
        "trainer.max_epochs=2", "trainer.batch_size=8", "loss.temperature=1,4", "tracking=none", "name=gpu",
        "evaluation.requests=2", "evaluation.rounds=1", f"paths.multirun={tmp_path}",
    ]  # fmt: skip
    assert command(line) == 0
    cells = [read(path.parent) for path in tmp_path.glob("gpu/*/result.json")]
    assert len(cells) == 2
    for cell in cells:
        assert cell.status == "finished", cell.error
        assert (cell.machine["device"], cell.machine["precision"]) == ("cuda", "bf16-mixed")
        assert cell.metrics["test"]["accuracy"] > 0.2
