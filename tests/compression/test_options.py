"""What no step can do with is refused with one line that names the option and a cure."""

from __future__ import annotations

import re
from functools import partial

import pytest
import yaml

from kd_lab.compression.options import count_of
from kd_lab.compression.out_of_scope import OutOfScope
from kd_lab.compression.prune.feed_forward import PruneWidth
from kd_lab.compression.prune.heads import PruneHeads
from kd_lab.compression.prune.layers import DropLayers
from kd_lab.compression.prune.low_rank_embedding import LowRankEmbedding
from kd_lab.compression.prune.lstm_units import PruneLstm
from kd_lab.compression.prune.magnitude import PruneL1
from kd_lab.compression.prune.vocabulary import TrimVocabulary
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.onnx_int8_static import OnnxInt8Static
from kd_lab.compression.quantize.openvino import OpenVino
from kd_lab.compression.quantize.openvino_int8 import OpenVinoInt8
from kd_lab.compression.quantize.quantization_aware import QuantizationAware
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import short_repr

STEPS = {
    "prune_heads": PruneHeads,
    "prune_width": PruneWidth,
    "drop_layers": DropLayers,
    "prune_lstm": PruneLstm,
    "low_rank_embedding": LowRankEmbedding,
    "prune_l1": PruneL1,
    "trim_vocabulary": TrimVocabulary,
    "out_of_scope": partial(OutOfScope, "a class"),
    "quantization_aware": QuantizationAware,
    "onnx_int8": OnnxInt8,
    "onnx_int8_static": OnnxInt8Static,
    "openvino": OpenVino,
    "openvino_int8": OpenVinoInt8,
}
WRONG = {
    "keep": [0, -0.5, 1.1, "half", True, float("nan")],
    "amount": [1, 1.5, -0.1, "half", True, None, float("nan")],
    "cost": [-0.1, 1, True, float("nan")],
    "ramp": [0, 1.1, "half", True, None, float("nan")],
    "rows": [0, -3, 1.5, True, "all"],
    "stages": [0, -1, 1.5, True, None],
    "min_count": [0, True],
    "first": [-1],
    "epochs": [-1, 0.5, True, None, "two"],
    "rate": [0, -0.1, float("inf"), float("nan"), "slow", True, None],
    "heads": [0, 1.0, True],
    "layers": [0, "two", True],
    "rank": [0, 8.0, True],
    "scope": ["model", None, 1],
    "weigh": ["count"],
    "precision": ["int8"],
    "per_channel": [1, "yes"],
}
OPTIONS = {
    "prune_heads": ("keep", "heads", "rows", "epochs", "rate"),
    "prune_width": ("keep", "rows", "epochs", "rate"),
    "drop_layers": ("layers", "epochs", "rate"),
    "prune_lstm": ("keep", "rows", "epochs", "rate"),
    "low_rank_embedding": ("rank", "weigh", "epochs", "rate"),
    "prune_l1": ("amount", "scope", "epochs", "rate", "ramp", "stages"),
    "trim_vocabulary": ("min_count", "first"),
    "out_of_scope": ("cost",),
    "quantization_aware": ("per_channel", "epochs", "rate"),
    "onnx_int8": ("per_channel",),
    "onnx_int8_static": ("rows", "per_channel"),
    "openvino": ("precision",),
    "openvino_int8": ("rows",),
}
CASES = [(step, option, value) for step in STEPS for option in OPTIONS[step] for value in WRONG[option]]
CASES += [("quantization_aware", "epochs", 0)]  # which others may have


@pytest.mark.parametrize(("step", "option", "value"), CASES)
def test_a_wrong_option_is_refused_by_its_name_with_a_cure_that_works(step, option, value):
    told = rf"^compression\.{step}\.{option}: expected .*got {short_repr(value)}"
    with pytest.raises(UserError, match=told) as caught:
        STEPS[step](**{option: value})
    cure = re.search(rf"compression\.{step}\.{option}=(\S+)[,.]", str(caught.value))
    assert cure is not None
    STEPS[step](**{option: yaml.safe_load(cure[1])})


@pytest.mark.parametrize("step", ["prune_heads", "prune_width", "drop_layers", "prune_lstm", "low_rank_embedding"])
def test_no_training_and_all_kept_are_options_too(step):
    options = {"epochs": 0, "rate": 1} | ({"keep": 1} if "keep" in OPTIONS[step] else {})
    STEPS[step](**options)


@pytest.mark.parametrize(
    ("keep", "total", "count"), [(0.5, 12, 6), (0.5, 5, 3), (0.01, 12, 1), (1, 7, 7), (0.3, 10, 3)]
)
def test_a_share_is_rounded_to_the_nearest_count_and_never_to_none(keep, total, count):
    assert count_of(keep, total) == count
