"""Steps follow each other in the order given, and a wrong order is refused before anything is computed."""

from __future__ import annotations

import pytest
import torch
from hydra.utils import instantiate

from kd_lab.cli.compose import compose
from kd_lab.compression.prune.magnitude import PruneL1
from kd_lab.compression.quantize.onnx_classifier import OnnxClassifier
from kd_lab.compression.quantize.onnx_export import OnnxExport
from kd_lab.compression.quantize.onnx_int8 import OnnxInt8
from kd_lab.compression.quantize.torch_int8 import TorchInt8
from kd_lab.compression.quantize.torch_int8_classifier import TorchInt8Classifier
from kd_lab.compression.step import apply_all, check_all
from kd_lab.core.cache import describe
from kd_lab.core.errors import UserError
from kd_lab.core.paths import root
from kd_lab.models.encoder import EncoderClassifier

STEPS = {"prune_l1": PruneL1(), "torch_int8": TorchInt8(), "onnx": OnnxExport(), "onnx_int8": OnnxInt8()}
CONF = root() / "conf" / "compression"
NAMED_FOR = {  # a YAML's options that are not the step's defaults
    "onnx_int8_per_channel": {"per_channel": True},
    "onnx_int8_per_tensor": {"per_channel": False},
    "openvino_bf16": {"precision": "bf16"},
    "out_of_scope": {"label": "oos"},
}


def chosen(*names: str):
    return {name: STEPS[name] for name in names}


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ((), EncoderClassifier),
        (("prune_l1",), EncoderClassifier),
        (("prune_l1", "torch_int8"), TorchInt8Classifier),
        (("prune_l1", "onnx", "onnx_int8"), OnnxClassifier),
    ],
)
def test_the_class_that_comes_out_is_known_beforehand(names, kind):
    assert check_all(chosen(*names), EncoderClassifier) is kind


def test_apply_all_refuses_before_the_first_step_runs(build, context, monkeypatch):
    monkeypatch.setattr(TorchInt8, "apply", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UserError, match=r"compression\.prune_l1"):
        apply_all(chosen("torch_int8", "prune_l1"), build("lstm"), context)


def test_steps_apply_in_order_and_no_step_gives_the_model_back(build, context, make_batch):
    model = build("lstm").eval()
    assert apply_all({}, model, context) is model
    assert context.trained is model
    both = apply_all(chosen("prune_l1", "torch_int8"), model, context)
    assert context.trained is not model, "it is what prune_l1 made"
    assert isinstance(context.trained, type(model))
    batch = make_batch(3, 7)
    expected = TorchInt8().apply(PruneL1().apply(model))
    assert torch.equal(both(batch).logits, expected(batch).logits)


@pytest.mark.parametrize("file", sorted(CONF.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_yaml_builds_its_step_under_its_own_name_with_the_default_options_but_those_it_is_named_for(file):
    chosen = compose(["dataset=clinc", f"compression=[{file.stem}]"]).compression
    assert list(chosen) == [file.stem]
    step = instantiate(chosen[file.stem])
    assert step == type(step)(**NAMED_FOR.get(file.stem, {}))


def test_a_step_is_described_by_its_options():
    assert describe(PruneL1(0.3, epochs=2)) == {
        "class": "kd_lab.compression.prune.magnitude.PruneL1",
        "amount": 0.3,
        "scope": "global",
        "epochs": 2,
        "rate": 1.0,
        "ramp": 0.7,
        "stages": 30,
    }
    assert describe(OnnxInt8(per_channel=False)) != describe(OnnxInt8())
