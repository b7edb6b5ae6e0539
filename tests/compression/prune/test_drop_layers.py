"""Whole layers go; those that stay are untouched, and transformers reads what is left."""

from __future__ import annotations

import pytest
import torch
from readable import ENCODERS, built, layers_of, logits, sizes, some

from kd_lab.compression.prune.layers import DropLayers, keep_layers, spread
from kd_lab.core.errors import UserError
from kd_lab.models.encoder import EncoderClassifier

each_family = pytest.mark.parametrize("family", ENCODERS)


@each_family
@pytest.mark.parametrize("kept", [[0, 2], [3], [0, 1, 3]])
def test_what_is_left_says_what_the_encoder_said_with_the_other_layers_passed_over(family, kept, context):
    model, batch = built(family), some(context)
    dropped, full = keep_layers(model, kept), logits(model, batch)
    for number, layer in enumerate(layers_of(model)):
        if number not in kept:  # a layer that hands on what it is given
            layer.register_forward_hook(
                lambda _, given, said: (given[0], *said[1:]) if isinstance(said, tuple) else given[0]
            )
    silent = logits(model, batch)
    torch.testing.assert_close(logits(dropped, batch), silent, atol=1e-5, rtol=0)
    assert (silent - full).abs().max() > 0.01


@each_family
def test_parameters_fall_by_exactly_the_layers_that_went(family, context):
    model = built(family)
    dropped = DropLayers(keep=[1], epochs=0).apply(model, context)
    gone = sum(weight.numel() for number in (0, 2, 3) for weight in layers_of(model)[number].parameters())
    assert sizes(model) - sizes(dropped) == gone > 0
    expected = layers_of(model)[1].state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in layers_of(dropped)[0].state_dict().items())
    assert context.notes["drop_layers"] == {"layers_before": 4, "kept": [1]}


def test_layers_are_spread_as_distilberts_were():
    assert spread(6, 12) == [0, 2, 4, 7, 9, 11]


@pytest.mark.parametrize("total", range(1, 25))
def test_a_spread_has_as_many_layers_as_asked_and_none_twice(total):
    for count in range(1, total + 1):
        chosen = spread(count, total)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == count
        assert chosen[0] == 0
        assert chosen[-1] == (total - 1 if count > 1 else 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": [0, 4]}, r"drop_layers\.keep: expected layers that the model has, 0 to 3, got \[0, 4\].*=\[0,3\]"),
        ({"layers": 5}, r"drop_layers\.layers: expected at most 4, the model's layers, got 5"),
    ],
)
def test_layers_that_the_model_does_not_have_are_refused_before_training_and_after(options, words, context):
    with pytest.raises(UserError, match=words):
        DropLayers(**options).check(EncoderClassifier, ENCODERS["bert"])
    with pytest.raises(UserError, match=words):
        DropLayers(**options).apply(built("bert"), context)


@pytest.mark.parametrize("keep", [[], [2, 1], [1, 1], [-1, 0], [0.0, 1], [True], "01", 2])
def test_what_is_no_list_of_layers_is_refused(keep):
    with pytest.raises(UserError, match=r"^compression\.drop_layers\.keep: expected numbers of layers"):
        DropLayers(keep=keep)


def test_one_of_two_ways_to_say_it():
    with pytest.raises(UserError, match=r"drop_layers\.layers: expected null beside keep.*Give one of the two"):
        DropLayers(keep=[0, 1], layers=2)
