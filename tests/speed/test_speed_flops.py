"""The arithmetic that is counted is the arithmetic that torch does, and a share is that over a rate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.speed import flops, share
from experiments.speed.share import Share
from kd_lab.core.types import Batch
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.fused.cls_only import all_tokens
from kd_lab.models.lstm_attention import LstmAttentionClassifier

WIDTH = {"vocab_size": 50, "num_labels": 3, "pad_token_id": 0}
BERT = {
    "model_type": "bert",
    "num_hidden_layers": 2,
    "hidden_size": 24,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    **WIDTH,
}
DISTILBERT = {"model_type": "distilbert", "n_layers": 2, "dim": 24, "n_heads": 4, "hidden_dim": 40, **WIDTH}


class Attention(FlopCounterMode):
    """Counts torch's attention on the CPU too: queries with keys, and what comes of it with values."""

    def __init__(self) -> None:
        def count(query, key, value, *rest, out_shape=None, **options):
            rows, heads, queries, width = query
            return 4 * rows * heads * queries * key[2] * width

        super().__init__(
            display=False, custom_mapping={torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: count}
        )


@pytest.mark.parametrize("config", [BERT, DISTILBERT], ids=["bert", "distilbert"])
@pytest.mark.parametrize("every", [False, True], ids=["first", "all"])
def test_a_forward_pass_is_what_torch_counts(config, every):
    model = EncoderClassifier(config).eval()
    ids = torch.randint(1, 50, (3, 7))
    all_tokens(model.net, config["model_type"], asked=every)
    with torch.no_grad(), Attention() as counted:
        if every:
            model.net(input_ids=ids, attention_mask=torch.ones_like(ids))
        else:
            model(Batch(ids, ids, torch.ones_like(ids), ids))
    assert flops.forward(model, np.full(3, 7), all_tokens=every) == counted.get_total_flops() / 3


def test_nothing_is_said_of_a_model_whose_arithmetic_is_not_known():
    sizes = {"vocabulary": 9, "pad_id": 0, "classes": 2, "embedding": 4, "hidden": 4, "layers": 1, "dropout": 0.0}
    lstm = LstmAttentionClassifier(sizes)
    assert flops.forward(lstm, np.ones(3), all_tokens=True) is None
    assert flops.of_sides(lstm, lstm, np.ones(3)) == {}


def test_a_peer_is_given_the_teachers_pass_too():
    student, teacher = EncoderClassifier(DISTILBERT), EncoderClassifier(BERT)
    needed = flops.of_sides(student, teacher, np.full(3, 7))
    every = [flops.forward(model, np.full(3, 7), all_tokens=True) for model in (student, teacher)]
    assert needed["b"] == 3 * every[0] + every[1]
    assert needed["ours"] == needed["bare"] < 3 * every[0]


def test_a_share_is_held_against_the_larger_of_two_rates(monkeypatch):
    rates = iter([4e12, 5e12])
    monkeypatch.setattr(share, "matrix_rate", lambda size: next(rates))
    student, teacher = EncoderClassifier(DISTILBERT), EncoderClassifier(BERT)
    lengths = np.full(3, 7)

    class Prepared:
        device, start, guide = "cuda", student, teacher
        tokens = type("Tokens", (), {"split": lambda self, name: type("Split", (), {"lengths": lengths})})()

    found = Share(Prepared(), quick=True).figures({"ours": {"examples_per_s": 1000.0}})
    needed = flops.of_sides(student, teacher, lengths)["ours"]
    assert found["matrix_tflops"] == [4.0, 5.0]
    assert found["matrix_share"] == {"ours": needed * 1000 / 5e12}
