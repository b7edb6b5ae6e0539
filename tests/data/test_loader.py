"""BatchLoader hold every row once, no more padding than they must, in an order that a seed and an epoch decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch

from kd_lab.core.types import Batch
from kd_lab.data.csv import Csv
from kd_lab.data.loader import BatchLoader
from kd_lab.data.tokenized import Tokens, TokenSplit
from kd_lab.data.tokenizer import Tokenizer

PAD = 99


def rows(number: int, segments: bool = False) -> TokenSplit:
    """Row i has pieces 1000 i, 1000 i + 1, ...; lengths 2 to 9 at random; label i."""
    lengths = np.random.default_rng(0).integers(2, 10, number)
    pieces = np.concatenate([1000 * row + np.arange(length) for row, length in enumerate(lengths)]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    kinds = np.concatenate([(np.arange(length) >= length // 2).astype(np.int8) for length in lengths])
    return TokenSplit(pieces, offsets, np.arange(number), kinds if segments else None)


def ids(batches: list[Batch]) -> list[list[int]]:
    return [batch.row_ids.tolist() for batch in batches]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("number", "size"), [(1, 4), (8, 4), (203, 4), (9, 32), (207, 2)])
def test_every_row_comes_once_in_a_pass(number: int, size: int, seed: int | None) -> None:
    batches = BatchLoader(rows(number), size, PAD, seed)
    for _ in range(2):
        seen = list(batches)
        assert sorted(row for batch in ids(seen) for row in batch) == list(range(number))
        assert len(seen) == len(batches)
        assert sorted(map(len, ids(seen)))[1:] == [size] * (len(seen) - 1)


@pytest.mark.parametrize("seed", [None, 3])
def test_of_some_rows_each_comes_once_under_its_own_id_and_no_other_comes(seed: int | None) -> None:
    chosen = np.array([5, 7, 70, 200])
    batches = BatchLoader(rows(203), 3, PAD, seed, chosen)
    seen = list(batches)
    assert len(seen) == len(batches) == 2
    assert sorted(row for batch in ids(seen) for row in batch) == chosen.tolist()
    assert all(batch.labels.tolist() == batch.row_ids.tolist() for batch in seen)


@pytest.mark.parametrize("seed", [None, 3])
def test_a_batch_holds_its_rows_and_no_more_padding_than_its_longest_needs(seed: int | None) -> None:
    split = rows(203, segments=True)
    for batch in BatchLoader(split, 8, PAD, seed):
        lengths = split.lengths[batch.row_ids]
        assert batch.input_ids.shape == (len(lengths), lengths.max())
        assert batch.attention_mask.sum(1).tolist() == lengths.tolist()
        assert batch.labels.tolist() == batch.row_ids.tolist()
        assert batch.token_type_ids is not None
        for row, length, pieces, mask, kinds in zip(
            batch.row_ids.tolist(), lengths, batch.input_ids, batch.attention_mask, batch.token_type_ids, strict=True
        ):
            filler = len(pieces) - length
            assert pieces.tolist() == [1000 * row + place for place in range(length)] + [PAD] * filler
            assert mask.tolist() == [1] * length + [0] * filler
            assert kinds.tolist() == [0] * (length // 2) + [1] * (length - length // 2) + [0] * filler


def test_every_tensor_is_int64(toy_tokens: Tokens) -> None:
    batch = next(iter(BatchLoader(toy_tokens.split("train"), 4, toy_tokens.pad_id)))
    assert {value.dtype for value in batch if value is not None} == {torch.int64}
    assert batch.token_type_ids is None
    assert batch.teacher is None


def test_rows_of_like_length_go_together() -> None:
    split = rows(400)
    pieces = int(split.lengths.sum())
    for seed in (None, 0):
        padded = sum(batch.input_ids.numel() for batch in BatchLoader(split, 16, PAD, seed))
        assert padded < 1.1 * pieces
    at_random = sum(
        16 * split.lengths[chosen].max() for chosen in np.random.default_rng(0).permutation(400).reshape(25, 16)
    )
    assert at_random > 1.4 * pieces


def test_the_order_is_decided_by_seed_and_epoch_alone() -> None:
    split = rows(203)
    first, again, other = (BatchLoader(split, 4, PAD, seed) for seed in (5, 5, 6))
    passes = [ids(list(first)) for _ in range(3)]
    torch.manual_seed(1)
    np.random.seed(1)
    assert [ids(list(again)) for _ in range(3)] == passes
    later = BatchLoader(split, 4, PAD, 5)
    later.epoch = 2
    assert ids(list(later)) == passes[2]
    assert passes[0] != passes[1] != passes[2] != passes[0]
    assert ids(list(other)) != passes[0]
    together = {frozenset(batch) for batch in passes[0]}
    assert len(together & {frozenset(batch) for batch in passes[1]}) < len(together) / 4, "the same rows meet again"


def test_long_and_short_batches_come_mixed() -> None:
    widths = [batch.input_ids.shape[1] for batch in BatchLoader(rows(400), 8, PAD, seed=0)]
    assert widths != sorted(widths)
    assert abs(np.mean(widths[:25]) - np.mean(widths[25:])) < 1


def test_without_a_seed_every_pass_is_alike_and_by_length() -> None:
    batches = BatchLoader(rows(50), 8, PAD)
    assert ids(list(batches)) == ids(list(batches))
    widths = [batch.input_ids.shape[1] for batch in batches]
    assert widths == sorted(widths)


def test_row_ids_lead_back_to_the_texts(toy_csv: Path, toy_tokens: Tokens, bert_tokenizer: Tokenizer) -> None:
    texts = Csv(str(toy_csv)).load()
    pieces = tokenizers.Tokenizer.from_file(str(bert_tokenizer.path))
    pieces.no_padding()
    for name, split in texts.splits.items():
        for batch in BatchLoader(toy_tokens.split(name), 16, toy_tokens.pad_id, seed=1):
            for row, label, ids_, mask in zip(
                batch.row_ids, batch.labels, batch.input_ids, batch.attention_mask, strict=True
            ):
                assert label == split.labels[row]
                assert ids_[mask.bool()].tolist() == pieces.encode(split.texts[row]).ids
