"""What no step can do with is refused with one line that names the option and a cure."""

from __future__ import annotations

import re

import pytest

from kd_lab.compression.options import count_of
from kd_lab.compression.prune.feed_forward import PruneWidth
from kd_lab.compression.prune.heads import PruneHeads
from kd_lab.compression.prune.layers import DropLayers
from kd_lab.compression.prune.low_rank_embedding import LowRankEmbedding
from kd_lab.compression.prune.lstm_units import PruneLstm
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import short_repr

STEPS = {
    "prune_heads": PruneHeads,
    "prune_width": PruneWidth,
    "drop_layers": DropLayers,
    "prune_lstm": PruneLstm,
    "low_rank_embedding": LowRankEmbedding,
}
WRONG = {
    "keep": [0, -0.5, 1.1, "half", True, float("nan")],
    "rows": [0, -3, 1.5, True, "all"],
    "epochs": [-1, 0.5, True, None],
    "rate": [0, -0.1, float("inf"), "slow", True],
    "heads": [0, 1.0, True],
    "layers": [0, "two", True],
    "rank": [0, 8.0, True],
}
OPTIONS = {
    "prune_heads": ("keep", "heads", "rows", "epochs", "rate"),
    "prune_width": ("keep", "rows", "epochs", "rate"),
    "drop_layers": ("layers", "epochs", "rate"),
    "prune_lstm": ("keep", "rows", "epochs", "rate"),
    "low_rank_embedding": ("rank", "epochs", "rate"),
}
CASES = [(step, option, value) for step in STEPS for option in OPTIONS[step] for value in WRONG[option]]


@pytest.mark.parametrize(("step", "option", "value"), CASES)
def test_a_wrong_option_is_refused_by_its_name_with_a_cure_that_works(step, option, value):
    told = rf"^compression\.{step}\.{option}: expected .*got {short_repr(value)}"
    with pytest.raises(UserError, match=told) as caught:
        STEPS[step](**{option: value})
    cure = re.search(rf"compression\.{step}\.{option}=(\d+(?:\.\d+)?)", str(caught.value))
    assert cure is not None
    STEPS[step](**{option: float(cure[1]) if "." in cure[1] else int(cure[1])})


@pytest.mark.parametrize("step", STEPS)
def test_no_training_and_all_kept_are_options_too(step):
    options = {"epochs": 0, "rate": 1} | ({"keep": 1} if "keep" in OPTIONS[step] else {})
    STEPS[step](**options)


@pytest.mark.parametrize(
    ("keep", "total", "count"), [(0.5, 12, 6), (0.5, 5, 3), (0.01, 12, 1), (1, 7, 7), (0.3, 10, 3)]
)
def test_a_share_is_rounded_to_the_nearest_count_and_never_to_none(keep, total, count):
    assert count_of(keep, total) == count
