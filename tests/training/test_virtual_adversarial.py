"""Virtual adversarial training: the worst direction, with the dropout of the first pass, in whole fits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from half_labelled import HalfLabelled
from safetensors.torch import load_file
from torch import Tensor, nn

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.core.types import Batch, Outputs
from kd_lab.data.tokenized import Tokens, tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.losses.term.virtual_adversarial import VirtualAdversarial
from kd_lab.losses.weighted_sum import WeightedSum
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder, EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.training.fit import FitSpec, fit
from kd_lab.training.optimizer import AdamW
from kd_lab.training.perturbed_pass import PerturbedPass
from kd_lab.training.settings import Trainer

LSTM = LstmAttention(embedding=8, hidden=8, layers=2, init="random", dropout=0.3)
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
BATCH = Batch(torch.arange(2), MASK, MASK, torch.tensor([0, -1]))


def linear(vectors: Tensor) -> Outputs:
    """A student whose answer is linear in its vectors: only the first coordinate of the first token tells."""
    told = vectors[:, 0, :1]
    return Outputs(torch.cat([told, -told], dim=1))


def term(epsilon: float = 0.5, iterations: int = 1) -> tuple[VirtualAdversarial, Tensor, list[Tensor]]:
    """The term on the linear student, its vectors, and where they were moved."""
    vectors = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found, moved = VirtualAdversarial(epsilon, 0.01, iterations), []

    def perturbed(batch: Batch, move: object) -> Outputs:
        moved.append(move(vectors))  # type: ignore[operator]
        return linear(moved[-1])

    found.perturbed = perturbed  # type: ignore[assignment]
    return found, vectors, moved


@pytest.mark.parametrize("iterations", [1, 3])
def test_vectors_move_by_their_share_in_the_direction_that_tells_and_padding_stays(iterations: int) -> None:
    found, vectors, moved = term(iterations=iterations)
    value = found(linear(vectors), BATCH)
    assert len(moved) == iterations + 1
    by = (moved[-1] - vectors).detach()
    lengths = (vectors * MASK.unsqueeze(-1)).flatten(1).norm(dim=1)
    torch.testing.assert_close(by.flatten(1).norm(dim=1), 0.5 * lengths.detach())
    torch.testing.assert_close(by[:, 0, 0].abs(), 0.5 * lengths.detach(), rtol=1e-4, atol=1e-5)  # nothing else tells
    for row in range(2):  # the worst direction is worth at least its opposite
        other = vectors.clone()
        other[row] = other[row] - by[row]
        log_p, log_q = linear(vectors).logits.log_softmax(1)[row], linear(other).logits.log_softmax(1)[row]
        assert value > 0
        assert torch.isfinite((log_p.exp() * (log_p - log_q)).sum())
    (slope,) = torch.autograd.grad(value, vectors)
    assert slope.abs().max() > 0


def test_it_is_zero_where_nobody_can_be_asked_again_or_nothing_is_learned() -> None:
    found, vectors, moved = term()
    with torch.no_grad():
        assert found(linear(vectors), BATCH) == 0
    found.perturbed = None
    assert found(linear(vectors), BATCH) == 0
    assert not moved
    assert VirtualAdversarial(epsilon=0)(linear(vectors), BATCH) == 0


@pytest.mark.parametrize("options", [{"epsilon": -1}, {"xi": 0}, {"xi": float("nan")}, {"iterations": 0}])
def test_lengths_and_numbers_that_are_none_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"^loss\.terms\.virtual_adversarial\.{next(iter(options))}: expected"):
        VirtualAdversarial(**options)  # type: ignore[arg-type]


def students(tokens: Tokens) -> list[TorchClassifier]:
    torch.manual_seed(0)
    sizes = {"vocabulary": tokens.vocab_size, "classes": 3, "pad_id": tokens.pad_id}
    lstm = LSTM.kind({**sizes, "embedding": 8, "hidden": 8, "layers": 2, "dropout": 0.3})
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    encoder = EncoderClassifier({"model_type": "bert", **small, "vocab_size": tokens.vocab_size, "num_labels": 3})
    return [lstm.train(), encoder.train()]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_pass_has_the_dropout_of_the_one_before(toy_tokens: Tokens, place: int, kind: torch.dtype) -> None:
    model = students(toy_tokens)[place]
    again = PerturbedPass(model)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == torch.bfloat16):
        again.remember()
        first = model(BATCH).logits
        after = torch.get_rng_state()
        torch.testing.assert_close(again(BATCH, lambda vectors: vectors).logits, first, rtol=0, atol=0)
        assert torch.equal(torch.get_rng_state(), after)  # the fit draws on as if nobody had asked
        assert not torch.equal(model(BATCH).logits, first)
        assert not torch.equal(again(BATCH, lambda vectors: 2 * vectors).logits, first)


def test_a_model_whose_word_vectors_are_not_known_is_refused() -> None:
    class Other(TorchClassifier):
        """A user's own."""

    with pytest.raises(UserError, match=r"loss: expected an encoder or a student of word vectors.*got Other"):
        PerturbedPass(Other({}))


@pytest.mark.parametrize(
    "model",
    [LSTM, Encoder("mini", "distilbert", 1, 16, 2, 16, init="random", keep_layers=None)],
    ids=["lstm", "encoder"],
)
def test_a_fit_learns_from_rows_without_a_label_and_is_the_same_each_time(
    toy_csv: Path, bert_tokenizer: Tokenizer, own_cache: Cache, tmp_path: Path, model: object
) -> None:
    mixed = tokenise(HalfLabelled(str(toy_csv)), bert_tokenizer, own_cache)
    weights = []
    for run, weight in enumerate((1.0, 1.0, 0.0)):
        terms: dict[str, nn.Module] = {"cross_entropy": CrossEntropy(), "vat": VirtualAdversarial()}
        loss = WeightedSum(terms, {"cross_entropy": 1.0, "vat": weight})  # type: ignore[arg-type]
        spec = FitSpec(model, loss, AdamW(), Trainer(max_epochs=2, precision="32-true"), 0)  # type: ignore[arg-type]
        counts: list[int] = []
        card = {"labels": mixed.classes, "max_tokens": 32, "pad_id": mixed.pad_id, "pairs": False}
        made = fit(spec, mixed, None, Cache(tmp_path / str(run)), card, {}, counts.append)
        train = mixed.split("train")
        assert sum(counts) == 2 * (len(train) if weight else len(train.labelled))
        history = made.about()["history"]
        assert ("train/vat" in history[0]) == bool(weight)
        if weight:
            assert history[-1]["train/vat"] > 0
            assert history[-1]["validation/vat"] == 0
            assert loss.terms["vat"].perturbed is None
        weights.append(load_file(made.model / "model.safetensors"))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
