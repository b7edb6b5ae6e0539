"""Heads are removed for real: what is left says what the encoder said with the removed heads silent."""

from __future__ import annotations

import pytest
import torch
import transformers
from readable import ENCODERS, built, logits, parts_of, reloaded, sizes, some

from kd_lab.compression.importance import labelled, taylor_of_inputs
from kd_lab.compression.prune.heads import PruneHeads, keep_heads
from kd_lab.core.errors import UserError
from kd_lab.models.architectures import heads_in
from kd_lab.models.encoder import EncoderClassifier

SIZE, WIDTH, LAYERS = 4, 16, 4  # units of a head; of the encoder
each_family = pytest.mark.parametrize("family", ENCODERS)


def silent(model: EncoderClassifier, kept: list[list[int]], batch) -> torch.Tensor:
    """Logits of the model with all other heads' outputs zeroed."""
    hooks = []
    for module, heads in zip(parts_of(model, "merge"), kept, strict=True):
        gate = torch.zeros(4, SIZE)
        gate[heads] = 1.0
        hooks.append(module.register_forward_pre_hook(lambda _, given, gate=gate: (given[0] * gate.flatten(),)))
    said = logits(model, batch)
    for hook in hooks:
        hook.remove()
    return said


@each_family
@pytest.mark.parametrize("kept", [[[1], [0], [3], [2]], [[0, 3], [1, 2], [0, 1], [2, 3]]])
def test_a_pruned_encoder_says_what_it_said_with_the_other_heads_silent(family, kept, context):
    model, batch = built(family), some(context)
    pruned = keep_heads(model, [torch.tensor(heads) for heads in kept])
    torch.testing.assert_close(logits(pruned, batch), silent(model, kept, batch), atol=1e-5, rtol=0)
    assert (logits(pruned, batch) - logits(model, batch)).abs().max() > 0.01


@each_family
@pytest.mark.parametrize("heads", [1, 3])
def test_parameters_fall_by_exactly_what_a_head_has(family, heads, context):
    model = built(family)
    pruned = PruneHeads(heads=heads, epochs=0, rows=4).apply(model, context)
    a_head = 3 * SIZE * (WIDTH + 1) + WIDTH * SIZE  # query, key and value with biases; its columns of the output
    assert sizes(model) - sizes(pruned) == LAYERS * (4 - heads) * a_head
    assert heads_in(pruned.config) == heads


@each_family
def test_the_heads_that_stay_are_those_of_the_highest_score(family, context):
    model = built(family).eval()
    scores = taylor_of_inputs(model, labelled(context, 20, 7, "test"), parts_of(model, "merge"), 4)
    PruneHeads(heads=2, rows=20).apply(model, context)
    said = context.notes["prune_heads"]
    best = [sorted(sorted(range(4), key=lambda head, row=row: -row[head])[:2]) for row in scores.tolist()]
    assert said == {"heads_before": 4, "heads": 2, "kept": best}


@each_family
def test_a_pruned_encoder_is_saved_loaded_and_pruned_again(family, context, folder):
    model, batch = built(family), some(context)
    once = PruneHeads(heads=3, rows=8, epochs=0).apply(model, context)
    loaded = reloaded(once, folder)
    assert isinstance(loaded, EncoderClassifier)
    assert torch.equal(logits(loaded, batch), logits(once, batch))
    kept = [torch.tensor([0, 2])] * LAYERS
    again = keep_heads(loaded, kept)
    assert heads_in(again.config) == 2
    gates = [[0, 2]] * LAYERS
    first = context.notes["prune_heads"]["kept"]
    both = [[layer[place] for place in gate] for layer, gate in zip(first, gates, strict=True)]
    torch.testing.assert_close(logits(again, batch), silent(model, both, batch), atol=1e-5, rtol=0)


@each_family
def test_only_an_encoder_with_all_heads_is_portable(family, context, folder):
    model = built(family)
    whole = PruneHeads(keep=1.0, rows=4).apply(model, context)
    assert model.portable
    assert whole.portable
    assert torch.equal(logits(whole, some(context)), logits(model, some(context)))
    pruned = PruneHeads(rows=4).apply(model, context)
    assert not pruned.portable
    pruned.save(folder)
    with pytest.raises(RuntimeError, match=r"size mismatch|MISMATCH|ignore_mismatched"):
        transformers.AutoModelForSequenceClassification.from_pretrained(folder)


def test_more_heads_than_there_are_or_than_earlier_pruning_left_are_refused(context):
    with pytest.raises(UserError, match=r"compression\.prune_heads\.heads: expected at most 4, .*got 5"):
        PruneHeads(heads=5).check(EncoderClassifier, ENCODERS["bert"])
    once = PruneHeads(heads=1, rows=4).apply(built("bert"), context)
    with pytest.raises(UserError, match=r"expected at most 1, .*got 2"):
        PruneHeads(heads=2).apply(once, context)
