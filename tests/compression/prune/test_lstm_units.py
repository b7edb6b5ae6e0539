"""LSTM and attention units are removed for real: what is left says what the student said with them unread."""

from __future__ import annotations

import copy

import pytest
import torch
from readable import CLASSES, PIECES, SPECS, built, logits, reloaded, sizes, some

from kd_lab.compression.importance import labelled, taylor_of_columns
from kd_lab.compression.prune.lstm_units import PruneLstm, keep_units, readers
from kd_lab.core.errors import UserError
from kd_lab.models.encoder import EncoderClassifier
from kd_lab.models.lstm_attention import LstmAttentionClassifier

HIDDEN, EMBEDDING = 10, 8


def test_a_pruned_student_says_what_it_said_with_the_other_units_unread(context):
    model, batch = built("lstm"), some(context)
    kept = [[0, 4, 9], [2, 3, 7]]
    attention = [1, 5, 8]
    pruned = keep_units(model, [torch.tensor(units) for units in kept], torch.tensor(attention))
    deaf = copy.deepcopy(model)
    weights = dict(deaf.named_parameters())
    with torch.no_grad():
        for units, names in zip([*kept, attention], readers(2), strict=True):
            gone = [unit for unit in range(HIDDEN) if unit not in units]
            for name in names:
                weights[name][:, gone] = 0.0
    torch.testing.assert_close(logits(pruned, batch), logits(deaf, batch), atol=1e-5, rtol=0)
    assert (logits(deaf, batch) - logits(model, batch)).abs().max() > 0.01


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_matrix_that_reads_a_layer_is_among_its_readers(layers):
    """By shape: all matrices with a column for each unit, none twice."""
    config = {"vocabulary": 5, "pad_id": 0, "classes": 2, "embedding": 3, "hidden": 7, "layers": layers, "dropout": 0.0}
    model = LstmAttentionClassifier(config)
    wide = {name for name, weight in model.named_parameters() if weight.dim() == 2 and weight.shape[1] == 7}
    groups = readers(layers)
    assert len(groups) == layers + 1
    assert sorted(name for group in groups for name in group) == sorted(wide)


@pytest.mark.parametrize(("keep", "left"), [(0.5, 5), (0.33, 3), (0.01, 1), (1, 10)])
def test_the_result_is_an_ordinary_student_with_a_smaller_hidden(keep, left, context, folder):
    model = built("lstm")
    pruned = PruneLstm(keep, rows=4, epochs=0).apply(model, context)
    assert pruned.config == {**model.config, "hidden": left}
    lstm = 4 * left * (EMBEDDING + left + 2) + 4 * left * (left + left + 2)
    rest = left * left + left + left + CLASSES * left + CLASSES
    assert sizes(pruned) == PIECES * EMBEDDING + lstm + rest
    loaded = reloaded(pruned, folder)
    assert type(loaded) is LstmAttentionClassifier
    assert torch.equal(logits(loaded, some(context)), logits(pruned, some(context)))
    assert loaded.lstm.hidden_size == left
    if keep == 1:
        assert torch.equal(logits(pruned, some(context)), logits(model, some(context)))


def test_the_units_that_stay_are_those_of_the_highest_score(context):
    model = built("lstm").eval()
    scores = taylor_of_columns(model, labelled(context, 20, 1, "test"), readers(2))
    pruned = PruneLstm(0.3, rows=20).apply(model, context)
    first, last, attention = (score.argsort(descending=True)[:3].sort().values for score in scores)
    assert torch.equal(pruned.lstm.weight_ih_l1[:3], model.lstm.weight_ih_l1[last][:, first])
    assert torch.equal(pruned.lstm.weight_hh_l0[3:6], model.lstm.weight_hh_l0[first + HIDDEN][:, first])
    assert torch.equal(pruned.attention.weight, model.attention.weight[attention][:, last])
    assert torch.equal(pruned.score.weight, model.score.weight[:, attention])
    shares = [
        round(float(score[best].sum() / score.sum()), 4)
        for score, best in zip(scores, (first, last, attention), strict=True)
    ]
    said = context.notes["prune_lstm"]
    assert said == {
        "hidden_before": 10,
        "hidden": 3,
        "importance_kept": {"lstm": shares[:2], "attention": shares[2]},
    }


def test_an_encoder_is_refused_with_the_steps_that_take_it():
    with pytest.raises(UserError, match=r"^compression\.prune_lstm: .*prune_heads and prune_width"):
        PruneLstm().check(EncoderClassifier, SPECS["bert"])
