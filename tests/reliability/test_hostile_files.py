"""Files made to run code, to fill the memory or to reach out of their folder are refused in one clear line."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file

from experiments.reliability.malformed_kinds import Kind, graph, kinds, tokenizer
from experiments.speed.peak import peak_mib
from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.reading import LARGEST_JSON, reading
from kd_lab.data import tokenizer_file
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.hub import Hub
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.data.tokenizer_file import read_tokenizer
from kd_lab.models import saved_model, weights_file
from kd_lab.models.base import read_config
from kd_lab.models.weights_file import read_tensors
from kd_lab.report.study import answers
from kd_lab.serving import export
from kd_lab.serving.onnx_session import OnnxSession
from kd_lab.serving.text_classifier import TextClassifier

Lay = Callable[[str], Path]
SETTING: Any = SimpleNamespace(by_run={0: SimpleNamespace(cell="cell", fingerprint={})})


class Bomb:
    """Unpickled, it makes a file."""

    def __reduce__(self) -> Any:
        return os.mkdir, (str(Path("exploded").resolve()),)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    return kinds(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def lay(sound: dict[str, Kind], tmp_path: Path) -> Lay:
    """A folder with a sound model's files."""

    def model(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, content in sound[f"{name}/classifier.json"].files.items():
            (folder / file).write_bytes(content)
        return folder

    return model


def _change(file: Path, **entries: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **entries}), encoding="utf-8")


def _sparse(path: Path, size: int, start: bytes = b"") -> Path:
    """A file of `size` bytes that takes no room on the disk."""
    path.write_bytes(start)
    os.truncate(path, size)
    return path


def test_a_safetensors_header_of_a_gib_is_refused_without_being_read(tmp_path: Path, lay: Lay) -> None:
    folder = lay("lstm")
    _sparse(folder / "model.safetensors", 2**30 + 4096, struct.pack("<Q", 2**30))
    before = peak_mib()
    for read in (lambda: read_tensors(folder / "model.safetensors"), lambda: saved_model.load(folder)):
        with pytest.raises(UserError, match=r"model\.safetensors: expected weights as safetensors, got .*[Hh]eader"):
            read()
    assert command(["predict", "--model", str(folder), "a cat"]) == 2
    assert peak_mib() - before < 200


@pytest.mark.parametrize(
    ("model", "entries"),
    [
        ("lstm", {"vocabulary": 2**40}),
        ("lstm", {"hidden": 10**6}),  # 16 TB of recurrent weights
        ("lstm", {"layers": 10**9}),
        ("encoder", {"vocab_size": 2**31, "hidden_size": 2**20}),
        ("encoder", {"num_hidden_layers": 10**8}),
        ("encoder", {"num_labels": 10**9}),
        ("encoder", {"max_position_embeddings": 10**12}),
        ("sparse", {"hidden": 10**6}),
        ("int8", {"hidden": 10**6}),
        ("bf16", {"intermediate_size": 2**20 - 1}),
    ],
)
def test_a_config_that_would_take_terabytes_is_refused_before_memory_is_taken(
    lay: Lay, model: str, entries: dict[str, Any]
) -> None:
    folder, before = lay(model), peak_mib()
    inner = read_config(folder).get("config")  # of a compressed model
    _change(folder / "config.json", **(entries if inner is None else {"config": {**inner, **entries}}))
    with pytest.raises(UserError, match=r"config\.json: expected a model that .* MiB of weights can fill, got"):
        saved_model.load(folder)
    assert peak_mib() - before < 500


@pytest.mark.parametrize("entry", ["_attn_implementation", "attn_implementation", "auto_map", "quantization_config"])
def test_a_config_cannot_have_transformers_fetch_code(lay: Lay, entry: str) -> None:
    folder = lay("encoder")
    saved_model.load(folder)
    _change(folder / "config.json", **{entry: "someone/kernels"})
    with pytest.raises(UserError, match=f"config.json: expected the config of an encoder, got an entry '{entry}'"):
        saved_model.load(folder)


TEXT_A, TEXT_B = ({"Sequence": {"id": text, "type_id": 0}} for text in "AB")
NINE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 9}
FRAME = {"type": "TemplateProcessing", "single": [TEXT_A] * 900, "pair": [TEXT_A, TEXT_B], "special_tokens": {}}
NESTED = json.loads('{"type":"Sequence","normalizers":[' * 200 + "]}" * 200)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"normalizer": {"type": "Sequence", "normalizers": [NINE] * 20}}, "a thousand times"),
        ({"normalizer": {**NINE, "pattern": {"Regex": ""}, "content": "ab" * 99_999}}, "a thousand times"),
        ({"normalizer": {"type": "Prepend", "prepend": "z" * 3_000_000}}, "a thousand times"),
        ({"post_processor": FRAME}, "adds 900 pieces"),
        ({"normalizer": NESTED}, r"expected a tokenizer, got Exception"),
    ],
    ids=["product", "empty pattern", "prepend", "template", "nested"],
)
def test_a_tokenizer_that_blows_texts_up_is_refused(tmp_path: Path, parts: dict[str, Any], says: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({**json.loads(tokenizer()), **parts}), encoding="utf-8")
    with pytest.raises(UserError, match=says):
        read_tokenizer(tmp_path / "tokenizer.json", expected="a tokenizer", cure="Choose another.")


def test_a_tokenizer_of_more_bytes_than_any_has_is_not_read(tmp_path: Path, lay: Lay) -> None:
    folder, before = lay("lstm"), peak_mib()
    _sparse(folder / "tokenizer.json", tokenizer_file.LARGEST_FILE + 1)
    with pytest.raises(
        UserError, match=r"tokenizer\.json: expected the tokenizer of the model, got a file of 209715201"
    ):
        TextClassifier(folder)
    assert peak_mib() - before < 100


def test_pieces_with_numbers_far_apart_take_no_embedding_of_billions_of_rows(lay: Lay) -> None:
    folder = lay("encoder")
    tree = json.loads(tokenizer())
    tree["model"]["vocab"]["cat"] = 4_000_000_000
    (folder / "tokenizer.json").write_text(json.dumps(tree), encoding="utf-8")
    with pytest.raises(UserError, match="14 pieces with numbers up to 4000000000"):
        _ = Tokenizer(Checkpoint("none", path=str(folder))).vocab_size
    with pytest.raises(UserError, match=r"expected .*pieces"):
        TextClassifier(folder).predict(["a cat"])


def test_a_checkpoint_without_a_tokenizer_is_one_clear_line(lay: Lay) -> None:
    folder = lay("encoder")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json: expected a fast tokenizer, got no such file\."):
        Tokenizer(Checkpoint("none", path=str(folder))).fingerprint_parts()


def test_pickles_are_named_and_never_loaded(lay: Lay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pickle

    monkeypatch.chdir(tmp_path)
    folder = lay("encoder")
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pkl", "training_args.pt"):
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match=r"got model\.pkl, a pickle, which can run code and is never read"):
        Checkpoint("none", path=str(folder)).weights()
    assert command(["predict", "--model", str(folder), "a cat"]) == 2
    file = io.BytesIO()
    np.savez(file, labels=np.array([Bomb()], object), predictions=np.array([0]))
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / answers.FILE).write_bytes(file.getvalue())
    with pytest.raises(UserError, match="expected a cell's predictions, got ValueError: Object arrays"):
        answers.predictions_by_run(tmp_path, SETTING)
    assert not (tmp_path / "exploded").exists()
    pickle.loads(pickle.dumps(Bomb()))  # noqa: S301 - to see that it would have
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "code.py", "link"])
def test_an_export_passes_on_only_what_kd_lab_wrote(
    sound: dict[str, Kind], tmp_path: Path, lay: Lay, name: str
) -> None:
    lay("lstm").rename(tmp_path / "model")
    result = json.loads(next(c for f, c in sound["result.json"].files.items() if f.endswith("result.json")))
    results.RunResult(**result).write(tmp_path)
    if name == "link":
        (tmp_path / "model" / "README.md").symlink_to("/etc/passwd")
    else:
        (tmp_path / "model" / name).write_bytes(b"x")
    with pytest.raises(
        UserError, match=f"expected only what kd_lab wrote, got {'README.md, a link' if name == 'link' else name}"
    ):
        export.export(tmp_path, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("place", ["w.bin", "../w.bin", "absolute", "link"])
def test_an_onnx_graph_reads_no_file_beside_or_outside_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    inner = tmp_path / "model"
    inner.mkdir()
    monkeypatch.chdir(inner)
    for folder in (inner, tmp_path):
        (folder / "w.bin").write_bytes(bytes(64))
    (inner / "link").symlink_to(tmp_path / "w.bin")
    model = onnx.load_model_from_string(graph())
    OnnxSession(model.SerializeToString())
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(tmp_path / "w.bin") if place == "absolute" else place)
    (inner / "model.onnx").write_bytes(model.SerializeToString())
    for given in (inner / "model.onnx", model.SerializeToString()):
        with pytest.raises(UserError, match=r"expected a classifier as ONNX graph.*External data path"):
            OnnxSession(given)


def test_a_parquet_file_of_a_few_bytes_that_stands_for_a_gib_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = 50_000
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["a word " * 3000]))
    table = pa.table({"text": text.cast(pa.large_string()), "label": pa.array(["a", "b"] * (rows // 2))})
    for split in ("train", "test"):
        pa.parquet.write_table(table, tmp_path / f"{split}-0.parquet")
    assert (tmp_path / "train-0.parquet").stat().st_size < 2**20
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=100 * 2**20))
    del table, text
    before = peak_mib()
    with pytest.raises(UserError, match=r"train-0\.parquet: expected Parquet, got .*a quarter of the memory"):
        Hub(path=str(tmp_path)).load()
    assert peak_mib() - before < 600


def test_an_archive_of_answers_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LARGEST", 2**20)
    (tmp_path / "cell").mkdir()
    with zipfile.ZipFile(tmp_path / "cell" / answers.FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("labels", "predictions"):
            archive.writestr(f"{name}.npy", bytes(2**21))
    with pytest.raises(UserError, match="got ValueError: 4194304 bytes of answers"):
        answers.predictions_by_run(tmp_path, SETTING)


def test_json_without_end_is_not_read(tmp_path: Path) -> None:
    _sparse(tmp_path / "config.json", LARGEST_JSON + 1)
    with pytest.raises(UserError, match="more than 67108864 bytes"):
        read_config(tmp_path)


def test_what_a_library_says_is_one_line_without_letters_that_act_on_a_terminal() -> None:
    with pytest.raises(UserError) as caught, reading("here", expected="a file", cure="Mend it."):
        raise ValueError("\x1b[2J\x07red\nand more")
    assert str(caught.value) == r"here: expected a file, got ValueError: \x1b[2J\x07red. Mend it."


def test_a_panic_is_told_and_an_interruption_is_not_swallowed() -> None:
    with pytest.raises(UserError, match="PanicException: out of bounds"), reading("a", expected="b", cure="c"):
        raise type("PanicException", (BaseException,), {})("out of bounds")
    with pytest.raises(KeyboardInterrupt), reading("a", expected="b", cure="c"):
        raise KeyboardInterrupt


def test_a_class_called_as_an_option_of_size_is_none(tmp_path: Path) -> None:
    config = {"num_hidden_layers": 1, "label2id": {"football players": 60}}
    save_file({"one": torch.zeros(2)}, tmp_path / "model.safetensors")
    weights_file.refuse_giants(lambda: torch.nn.Linear(1, 1), config, tmp_path / "model.safetensors")
