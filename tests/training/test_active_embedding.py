"""Rows that no text asks for are trained as one number, and end where AdamW would have taken them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_lab.core.cache import Cache
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.word_embedding import word_embedding
from kd_lab.training import active_embedding
from kd_lab.training.active_embedding import ActiveEmbedding, only_active_rows
from kd_lab.training.fit import FitSpec, fit
from kd_lab.training.optimizer import AdamW
from kd_lab.training.settings import Trainer

MODELS = {
    "lstm": LstmAttention(embedding=8, hidden=8, layers=1, dropout=0.1, init="random"),
    "bert": Encoder("tiny", "bert", 2, width=16, heads=2, feed_forward=24, init="random", max_positions=40),
    "distilbert": Encoder("tiny", "distilbert", 2, width=16, heads=2, feed_forward=24, init="random"),
}


def spec(model: str) -> FitSpec:
    return FitSpec(
        model=MODELS[model],
        loss=WeightedSum({"cross_entropy": CrossEntropy()}, {"cross_entropy": 1.0}),
        optimizer=AdamW(encoder_lr=0.01, head_lr=0.02, weight_decay=0.5),
        trainer=Trainer(max_epochs=2, batch_size=16, precision="32-true", device="cpu"),
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_fit_ends_with_the_weights_that_it_has_with_all_rows(model, toy_tokens, tmp_path, monkeypatch):
    few = fit(spec(model), toy_tokens, None, Cache(tmp_path / "few"), {}, {}).load()
    monkeypatch.setattr(active_embedding, "has_word_embedding", lambda _: False)
    all_rows = fit(spec(model), toy_tokens, None, Cache(tmp_path / "all"), {}, {}).load()
    ours, theirs = dict(few.named_parameters()), dict(all_rows.named_parameters())
    assert list(ours) == list(theirs)
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-4, atol=2e-5, msg=name)
    reached = np.unique(np.concatenate([toy_tokens.split(part).token_ids for part in ("train", "validation")]))
    rest = np.setdiff1d(np.arange(1, toy_tokens.vocab_size), reached)
    assert len(rest) > 30_000
    at = torch.from_numpy(rest)
    torch.testing.assert_close(word_embedding(few).weight[at], word_embedding(all_rows).weight[at], rtol=1e-5, atol=0)


def test_meanwhile_it_has_the_rows_of_the_texts_and_of_padding_alone(toy_tokens, own_cache):
    from kd_lab.models.spec import BuildContext

    context = BuildContext(3, toy_tokens.vocab_size, toy_tokens.pad_id, "tokens", toy_tokens.sentences, own_cache)
    model = MODELS["distilbert"].build(context)
    before, config = word_embedding(model).weight.detach().clone(), dict(model.config)
    pieces = np.array([5, 9, 9, 7], np.int32)
    with only_active_rows(model, [pieces], toy_tokens.pad_id):
        table = word_embedding(model)
        assert isinstance(table, ActiveEmbedding)
        assert table.weight.shape[0] == 4
        assert torch.equal(table(torch.tensor([[9, 5]])), before[torch.tensor([[9, 5]])])
        with torch.no_grad():
            table.weight.add_(1.0)
    assert type(word_embedding(model)) is torch.nn.Embedding
    assert model.config == config
    assert torch.equal(word_embedding(model).weight[7], before[7] + 1.0)
    assert torch.equal(word_embedding(model).weight[8], before[8])


def test_a_checkpoint_keeps_how_far_the_rest_has_shrunk():
    table = ActiveEmbedding(torch.nn.Embedding(6, 2), np.array([1, 3]))
    optimizer = torch.optim.AdamW([{"params": [table.weight], "weight_decay": 0.5}], lr=0.1)
    table.follow(optimizer)
    for _ in range(2):
        table.weight.grad = torch.zeros_like(table.weight)
        optimizer.step()
    assert table.shrunk == pytest.approx(0.95**2)
    other = ActiveEmbedding(torch.nn.Embedding(6, 2), np.array([1, 3]))
    other.load_state_dict(table.state_dict())
    assert other.shrunk == table.shrunk
