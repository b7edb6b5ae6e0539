"""Feed-forward units are removed for real, and transformers reads what is left."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers
from readable import ENCODERS, built, logits, sizes, some

from kd_lab.compression.importance import labelled, taylor_of_inputs
from kd_lab.compression.prune.feed_forward import PruneWidth, keep_units
from kd_lab.core.errors import UserError
from kd_lab.models.architectures import layer_stem, layout_of
from kd_lab.models.encoder import EncoderClassifier

UNITS, WIDTH, LAYERS = 12, 16, 4
each_family = pytest.mark.parametrize("family", ENCODERS)


def readers(model: EncoderClassifier) -> list[torch.nn.Module]:
    """The matrices that read the feed-forward units, one a layer."""
    layout = layout_of(model.config["model_type"], "test")
    return [layer.get_submodule(layout.shrink) for layer in model.get_submodule(layer_stem(model.config, "test"))]


@each_family
def test_a_pruned_encoder_says_what_it_said_with_the_other_units_silent(family, context):
    model, batch = built(family), some(context)
    kept = [[0, 5, 11], [1, 2, 3], [4, 6, 8], [9, 10, 11]]
    pruned = keep_units(model, [torch.tensor(units) for units in kept])
    full = logits(model, batch)
    for module, units in zip(readers(model), kept, strict=True):
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
    scores = taylor_of_inputs(model, labelled(context, 20, 7, "test"), readers(model), UNITS)
    pruned = PruneWidth(0.25, rows=20).apply(model, context)
    shares = []
    for ours, theirs, score in zip(readers(pruned), readers(model), scores, strict=True):
        best = score.argsort(descending=True)[:3].sort().values
        assert torch.equal(ours.weight, theirs.weight[:, best])
        shares.append(round(float(score[best].sum() / score.sum()), 4))
    assert context.notes["prune_width"] == {"units_before": 12, "units": 3, "importance_kept": shares}
    assert all(0.25 < share < 1 for share in shares)


@each_family
def test_transformers_reads_the_result_unchanged(family, context, folder):
    pruned, batch = PruneWidth(rows=4).apply(built(family), context), some(context)
    assert pruned.portable
    pruned.save(folder)
    theirs, about = transformers.AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not any(about[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        said = theirs.eval()(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    torch.testing.assert_close(said, logits(pruned, batch), atol=1e-6, rtol=0)


def test_an_unknown_family_is_refused_before_training():
    with pytest.raises(UserError, match=r"compression\.prune_width: expected .*got albert"):
        PruneWidth().check(EncoderClassifier, replace(ENCODERS["bert"], architecture="albert"))
