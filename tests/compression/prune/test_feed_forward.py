"""Feed-forward units are removed for real: what is left says what the encoder said with them silent."""

from __future__ import annotations

import pytest
import torch
from readable import ENCODERS, built, logits, parts_of, sizes, some

from kd_lab.compression.importance import labelled, taylor_of_inputs
from kd_lab.compression.prune.feed_forward import PruneWidth, keep_units

UNITS, WIDTH, LAYERS = 12, 16, 4
READERS = "shrink"  # of the feed-forward units, one a layer
each_family = pytest.mark.parametrize("family", ENCODERS)


@each_family
def test_a_pruned_encoder_says_what_it_said_with_the_other_units_silent(family, context):
    model, batch = built(family), some(context)
    kept = [[0, 5, 11], [1, 2, 3], [4, 6, 8], [9, 10, 11]]
    pruned = keep_units(model, [torch.tensor(units) for units in kept])
    full = logits(model, batch)
    for module, units in zip(parts_of(model, READERS), kept, strict=True):
        gate = torch.zeros(UNITS)
        gate[units] = 1.0
        module.register_forward_pre_hook(lambda _, given, gate=gate: (given[0] * gate,))
    silent = logits(model, batch)
    torch.testing.assert_close(logits(pruned, batch), silent, atol=1e-5, rtol=0)
    assert (silent - full).abs().max() > 0.01


@each_family
@pytest.mark.parametrize(("keep", "left"), [(0.5, 6), (0.7, 8), (0.01, 1), (1, 12)])
def test_parameters_fall_by_exactly_what_a_unit_has(family, keep, left, context):
    model = built(family)
    pruned = PruneWidth(keep, epochs=0, rows=4).apply(model, context)
    assert sizes(model) - sizes(pruned) == LAYERS * (UNITS - left) * (WIDTH + 1 + WIDTH)
    assert context.notes["prune_width"]["units"] == left


@each_family
def test_the_units_that_stay_are_those_of_the_highest_score(family, context):
    model = built(family).eval()
    scores = taylor_of_inputs(model, labelled(context, 20, 7, "test"), parts_of(model, READERS), UNITS)
    pruned = PruneWidth(0.25, rows=20).apply(model, context)
    shares = []
    for ours, theirs, score in zip(parts_of(pruned, READERS), parts_of(model, READERS), scores, strict=True):
        best = score.argsort(descending=True)[:3].sort().values
        assert torch.equal(ours.weight, theirs.weight[:, best])
        shares.append(round(float(score[best].sum() / score.sum()), 4))
    assert context.notes["prune_width"] == {"units_before": 12, "units": 3, "importance_kept": shares}
    assert all(0.25 < share < 1 for share in shares)
