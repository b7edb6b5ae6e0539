"""Which pieces are masked is decided by seed, epoch and row alone, in BERT's proportions, and never a special one."""

from __future__ import annotations

from pathlib import Path

import masked_checkpoints
import numpy as np
import pytest
import torch
from masked_checkpoints import TEXTS

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.masking import MaskedRows, Masking
from kd_lab.data.packed_corpus import PackedCorpus, pack
from kd_lab.data.shuffled import shuffled
from kd_lab.data.text_corpus import TextCorpus
from kd_lab.data.tokenizer import TokenizerFile

MASK = 4


@pytest.fixture
def corpus(tmp_path: Path) -> PackedCorpus:
    tokenizer = TokenizerFile(masked_checkpoints.write(tmp_path / "bert") / "tokenizer.json", 32)
    path = masked_checkpoints.write_corpus(tmp_path / "all.txt", TEXTS * 2)
    return pack(TextCorpus(str(path)), tokenizer, Cache(tmp_path / "cache"))


def test_shares_are_those_asked_for_and_special_pieces_are_let_be(corpus):
    rows = MaskedRows(corpus, "train", Masking(), seed=3)
    batch = rows.batch(np.arange(40 * len(rows)))
    originals = batch.input_ids.flatten().clone()
    originals[batch.places] = batch.labels
    given = batch.input_ids.flatten()[batch.places]
    assert not set(batch.labels.tolist()) & set(corpus.special)
    assert (batch.labels.numel(), *batch.input_ids.shape) == (4 * 40 * len(rows), 40 * len(rows), 32)  # 15 % of 30: 4.5
    untouched = torch.ones(originals.numel(), dtype=torch.bool)
    untouched[batch.places] = False
    assert torch.equal(batch.input_ids.flatten()[untouched], originals[untouched])
    masked, kept = (given == MASK).float().mean(), (given == batch.labels).float().mean()
    assert abs(masked - 0.8) < 0.02
    assert abs(kept - 0.1) < 0.02  # and a few that were replaced by themselves
    assert not set(given.tolist()) & (set(corpus.special) - {MASK})
    assert batch.attention_mask is None
    per_place = torch.bincount(batch.places % 32, minlength=32)
    assert per_place[0] == per_place[31] == 0
    assert per_place[1:31].min() > 0, "every place is masked sooner or later"


def test_a_row_is_masked_alike_in_any_batch_and_anew_in_each_epoch(corpus):
    rows = MaskedRows(corpus, "train", Masking(), seed=3)
    together = rows.batch(np.arange(8))
    alone = [rows.batch([place]) for place in range(8)]
    assert torch.equal(together.input_ids, torch.cat([one.input_ids for one in alone]))
    assert torch.equal(together.labels, torch.cat([one.labels for one in alone]))
    size = len(rows)
    first, second = rows.batch(np.arange(size)), rows.batch(np.arange(size, 2 * size))
    texts = [
        sorted(map(tuple, _original(one).tolist())) for one in (first, second)
    ]  # all rows come in each epoch, in another order
    assert texts[0] == texts[1]
    assert not torch.equal(_original(first), _original(second))
    in_order = [rows.batch(np.arange(size) + epoch * size, in_order=True) for epoch in (0, 1)]
    assert torch.equal(*map(_original, in_order))
    assert not torch.equal(in_order[0].input_ids, in_order[1].input_ids), "masks are drawn anew"
    other = MaskedRows(corpus, "train", Masking(), seed=4).batch(np.arange(size), in_order=True)
    assert not torch.equal(in_order[0].input_ids, other.input_ids)


def _original(batch):
    found = batch.input_ids.flatten().clone()
    found[batch.places] = batch.labels
    return found.reshape(batch.input_ids.shape)


def test_padding_is_never_masked_and_is_masked_out(tmp_path):
    tokenizer = TokenizerFile(masked_checkpoints.write(tmp_path / "bert") / "tokenizer.json", 32)
    path = masked_checkpoints.write_corpus(tmp_path / "few.txt", ["cat again", "dog again", "fox again"])
    corpus = pack(TextCorpus(str(path)), tokenizer, Cache(tmp_path / "cache"))
    batch = MaskedRows(corpus, "train", Masking(share=0.9), seed=0).batch(np.arange(50))
    assert batch.attention_mask is not None
    assert batch.attention_mask.sum(1).tolist() == [7] * 50  # [CLS] dog again [SEP] fox again [SEP]
    assert set((batch.places % 32).tolist()) == {1, 2, 4, 5}


def test_all_may_be_masked_none_replaced_and_shares_of_more_than_the_whole_are_refused(corpus):
    rows = MaskedRows(corpus, "train", Masking(0.5, masked=1.0, replaced=0.0), seed=0)
    batch = rows.batch(np.arange(9))
    assert (batch.input_ids.flatten()[batch.places] == MASK).all()
    with pytest.raises(UserError, match=r"two shares of one whole, got 0\.8 and 0\.3"):
        Masking(masked=0.8, replaced=0.3)


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 1000])
def test_an_order_has_every_row_once_and_each_epoch_another(size):
    orders = [shuffled(np.arange(size), size, 0, epoch) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(size))
    if size == 1000:
        assert len({order.tobytes() for order in orders}) == 3
        apart = np.abs(np.diff(orders[0]))
        assert 250 < apart.mean() < 420, "as far apart as random ones, a third of all"
        assert shuffled(np.array([5, 900]), size, 0, 1).tolist() == orders[1][[5, 900]].tolist()
