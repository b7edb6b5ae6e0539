"""OpenVINO computes what torch computes, in the precision that was asked for, and says nothing to anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from compression.conftest import SHAPE
from readable import each_alone, reloaded
from torch import nn

from kd_lab.compression.quantize import openvino_package
from kd_lab.compression.quantize.openvino import OpenVino
from kd_lab.compression.quantize.openvino_classifier import OpenVinoClassifier
from kd_lab.compression.quantize.openvino_int8 import OpenVinoInt8
from kd_lab.core.errors import UserError
from kd_lab.models import saved_model
from kd_lab.models.encoder import EncoderClassifier

pytestmark = pytest.mark.skipif(find_spec("openvino") is None, reason="pip install 'kd_lab[openvino]'")
NAMES = ["bert", "distilbert", "lstm"]
needs_bf16 = pytest.mark.skipif(
    "find_spec('openvino') and not openvino_package.has_bf16()", reason="a processor without bfloat16"
)


@pytest.fixture(scope="module", params=NAMES)
def pair(request, build):
    return build(request.param).eval(), OpenVino().apply(build(request.param))


@pytest.mark.parametrize("tokens", [1, 7, 40])
@pytest.mark.parametrize("rows", [1, 3])
def test_logits_equal_torch_at_every_shape(pair, make_batch, rows, tokens):
    model, made = pair
    batch = make_batch(rows, tokens)
    torch.testing.assert_close(made(batch).logits, model(batch).logits.detach(), atol=1e-5, rtol=1e-5)


def test_two_segments_are_read(build, make_batch):
    model = build("bert").eval()
    model.two_segments = True
    made = OpenVino().apply(model)
    batch = make_batch(2, 9, segments=True)
    torch.testing.assert_close(made(batch).logits, model(batch).logits.detach(), atol=1e-5, rtol=1e-5)
    assert not torch.equal(made(batch).logits, made(batch._replace(token_type_ids=None)).logits)


def test_every_weight_is_counted(pair):
    model, made = pair
    assert made.count_parameters() == model.count_parameters()


def test_all_matrix_layers_run_in_float32_though_the_processor_may_prefer_bfloat16(pair):
    model, made = pair
    assert list(made.precisions) == ["f32"]
    linear = sum(isinstance(module, nn.Linear) for module in model.modules())
    others = 2 * SHAPE["layers"] if isinstance(model, EncoderClassifier) else 3  # two products in each attention
    assert made.precisions["f32"] == linear + others


@needs_bf16
@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_what_really_runs_where_it_is_asked_for(build, make_batch, context, name):
    made = OpenVino("bf16").apply(build(name), context)
    exact = build(name).eval()(make_batch(3, 7)).logits.detach()
    assert list(made.precisions) == ["bf16"]
    assert context.notes["openvino_bf16"] == {"precision": "bf16", "matrix_layers": made.precisions}
    assert 1e-5 < (made(make_batch(3, 7)).logits - exact).abs().max() < 0.1 * exact.abs().max()


def test_logits_of_a_row_depend_on_the_rows_beside_it_and_on_padding_by_rounding_alone(pair, make_batch):
    batch = make_batch(16, 60)
    alone = torch.cat([pair[1](row).logits for row in each_alone(batch)])
    torch.testing.assert_close(alone, pair[1](batch).logits, atol=1e-5, rtol=1e-5)


@needs_bf16
@pytest.mark.usefixtures("no_pickle")
def test_the_precision_is_kept_when_saved_and_loaded(build, make_batch, folder):
    made = OpenVino("bf16").apply(build("distilbert"))
    loaded = reloaded(made, folder)
    assert (loaded.precision, loaded.precisions) == ("bf16", made.precisions)
    assert torch.equal(loaded(make_batch(3, 7)).logits, made(make_batch(3, 7)).logits)


@pytest.mark.usefixtures("no_pickle")
def test_loading_gives_the_same_logits_to_the_last_bit(pair, make_batch, folder):
    _, made = pair
    batch = make_batch(3, 7)
    loaded = reloaded(made, folder)
    assert torch.equal(loaded(batch).logits, made(batch).logits)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["classifier.json", "model.bin", "model.xml", "openvino.json"]
    )
    loaded.save(folder)  # over the files that it reads from
    assert torch.equal(saved_model.load(folder)(batch).logits, made(batch).logits)


def test_it_takes_as_many_threads_as_torch_has(build):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        made = OpenVino().apply(build("lstm"))
        assert made._compiled.get_property("INFERENCE_NUM_THREADS") == 1
        assert made._compiled.get_property("NUM_STREAMS") == 1
    finally:
        torch.set_num_threads(before)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [cut, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["model.xml", "model.bin", "openvino.json"])
def test_a_damaged_file_is_one_clear_line(pair, folder, name, spoil):
    pair[1].save(folder)
    spoil(folder / name)
    with pytest.raises(UserError, match=r"model|openvino\.json") as caught:
        OpenVinoClassifier.load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_precision_that_does_not_exist_is_refused(pair, folder):
    pair[1].save(folder)
    (folder / "openvino.json").write_text('{"precision": "f64"}')
    with pytest.raises(UserError, match="f64"):
        OpenVinoClassifier.load(folder)


def test_another_model_is_refused():
    openvino = openvino_package.package("openvino")  # a bare import would report itself
    given = openvino.opset13.parameter([1, 2], openvino.Type.f32, name="x")
    with pytest.raises(UserError, match="attention_mask"):
        OpenVinoClassifier(openvino.Model([openvino.opset13.relu(given)], [given]), "f32")


@pytest.mark.parametrize("step", [OpenVino(), OpenVino("bf16"), OpenVinoInt8()])
def test_a_missing_package_is_refused_before_anything_is_fitted(step, monkeypatch):
    monkeypatch.setattr(openvino_package, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'kd_lab\[openvino\]'"):
        step.check(EncoderClassifier)


def test_a_saved_model_without_the_package_is_one_clear_line(pair, folder, monkeypatch):
    saved_model.save(pair[1], folder, {})
    monkeypatch.setattr(openvino_package, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'kd_lab\[openvino\]'"):
        saved_model.load(folder)


def test_bfloat16_is_refused_where_the_processor_would_compute_in_float32(monkeypatch):
    monkeypatch.setattr("kd_lab.compression.quantize.openvino.has_bf16", lambda: False)
    assert OpenVino().check(EncoderClassifier) is OpenVinoClassifier
    with pytest.raises(UserError, match="AMX"):
        OpenVino("bf16").check(EncoderClassifier)


def test_neither_package_reports_its_use_or_is_imported_before_it_is_needed(tmp_path):
    code = """
import logging, sys
from kd_lab.compression import openvino, openvino_int8
from kd_lab.compression.quantize.openvino_package import package
assert not {"openvino", "nncf"} & {*sys.modules}, "too early"
before = logging.getLoggerClass()
package("openvino"), package("nncf")
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
assert logging.getLoggerClass() is before
"""
    quiet = ("CI", "PYTEST", "NNCF", "TF_BUILD", "JENKINS")  # under which it would be silent by itself
    env = {name: value for name, value in os.environ.items() if not name.startswith(quiet)}
    subprocess.run([sys.executable, "-c", code], env={**env, "HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.glob("intel*"))
