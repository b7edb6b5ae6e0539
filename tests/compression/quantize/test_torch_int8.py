"""INT8 within torch is small, close, and loads to the same bits without pickle."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from readable import reloaded
from safetensors.torch import load_file, save_file

from kd_lab.compression.prune.magnitude import PruneL1, matrices
from kd_lab.compression.quantize.torch_int8 import TorchInt8
from kd_lab.compression.quantize.torch_int8_classifier import TorchInt8Classifier
from kd_lab.core.errors import UserError

ENGINES = [None, *(name for name in ("x86", "onednn", "fbgemm") if name in torch.backends.quantized.supported_engines)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["bert", "lstm"])
@pytest.mark.usefixtures("no_pickle")
def test_loading_gives_the_same_logits_to_the_last_bit(build, make_batch, folder, name, engine):
    small = TorchInt8(engine).apply(build(name))
    batch = make_batch(3, 11)
    said = small(batch).logits
    torch.manual_seed(99)  # the skeleton's random weights must leave no trace
    loaded = reloaded(small, folder)
    assert isinstance(loaded, TorchInt8Classifier)
    assert torch.equal(loaded(batch).logits, said)
    assert loaded.count_parameters() == small.count_parameters()
    assert loaded.engine == (engine or torch.backends.quantized.engine)


@pytest.mark.parametrize("name", ["bert", "distilbert", "lstm"])
def test_predictions_stay_close_to_float(build, make_batch, name):
    model = build(name).eval()
    batch = make_batch(32, 12)
    exact, rough = model(batch).logits.detach(), TorchInt8().apply(model)(batch).logits
    assert not rough.requires_grad
    assert 0 < (rough - exact).abs().max() < 0.1 * exact.abs().max()
    assert (rough.argmax(-1) == exact.argmax(-1)).float().mean() >= 0.9


def test_every_matrix_is_kept_as_one_byte_a_weight(build, folder):
    model = build("lstm")
    TorchInt8().apply(model).save(folder)
    kept = load_file(folder / "model.safetensors")
    assert {kept[name].dtype for name in kept if "weight_ih" in name or "weight_hh" in name} >= {torch.int8}
    size = sum(getattr(module, part).numel() for module, part in matrices(model))
    assert sum(tensor.numel() for tensor in kept.values() if tensor.dtype == torch.int8) == size


def test_the_file_is_a_quarter_where_matrices_are_all(build, folder, tmp_path):
    model = build("lstm")
    model.save(tmp_path)
    TorchInt8().apply(model).save(folder)
    matrix = sum(getattr(module, part).numel() for module, part in matrices(model))
    saved = (tmp_path / "model.safetensors").stat().st_size - (folder / "model.safetensors").stat().st_size
    assert saved > 3 * matrix - 2048  # less the names of scales and zero points


def test_all_weights_are_counted_and_scales_are_not(build):
    model = PruneL1(0.5).apply(build("lstm"))
    total, nonzero = model.count_parameters()
    small_total, small_nonzero = TorchInt8().apply(model).count_parameters()
    assert small_total == total
    assert 0.95 * nonzero < small_nonzero <= nonzero  # rounding makes some zeros and unmakes none


def test_the_given_model_and_the_engine_stay_as_they_were(build):
    model, engine = build("lstm"), torch.backends.quantized.engine
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    TorchInt8("onednn" if "onednn" in ENGINES else None).apply(model)
    assert model.training
    assert torch.backends.quantized.engine == engine
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_it_warns_of_nothing(build, make_batch, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = TorchInt8().apply(build("lstm"))
        small.save(folder)
        TorchInt8Classifier.load(folder)(make_batch(3, 7))


def test_an_unknown_engine_is_refused():
    with pytest.raises(UserError, match="cuda9"):
        TorchInt8("cuda9")


OTHERS = ("os.PathLike", "kd_lab.core.cache.Cache", "kd_lab.nowhere.Model", "kd_lab.models.encoder.json", "Model", None)


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [*(("source", other, "a torch classifier of kd_lab") for other in OTHERS), ("engine", "riscv", "riscv")],
)
def test_what_is_no_classifier_of_kd_lab_is_not_built_and_an_engine_that_is_not_here_is_named(
    build, folder, entry, value, words
):
    TorchInt8().apply(build("lstm")).save(folder)
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**about, entry: value}))
    with pytest.raises(UserError, match=words):
        TorchInt8Classifier.load(folder)


def test_a_file_cut_short_is_refused(build, folder):
    TorchInt8().apply(build("lstm")).save(folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"model\.safetensors"):
        TorchInt8Classifier.load(folder)


@pytest.mark.parametrize("damage", ["missing", "shape", "type"])
def test_weights_that_do_not_fit_are_refused_by_name(build, folder, damage):
    TorchInt8().apply(build("lstm")).save(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    weight = tensors.pop("attention.weight")
    if damage != "missing":
        tensors["attention.weight"] = weight[:5] if damage == "shape" else weight.float()
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"attention\.weight"):
        TorchInt8Classifier.load(folder)
