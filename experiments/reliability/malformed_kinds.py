"""Every kind of file that kd_lab reads of a user's: a small sound one, how it is broken, and what reads it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import tokenizers
import torch
from onnx import TensorProto, helper, numpy_helper

from experiments.reliability import broken
from experiments.reliability.broken import Broken
from kd_lab.cli.predict_input import of_lines
from kd_lab.cli.predict_table import Table
from kd_lab.compression.prune.sparse_classifier import SparseClassifier
from kd_lab.compression.quantize.torch_bf16_classifier import TorchBf16Classifier
from kd_lab.compression.quantize.torch_int8_classifier import TorchInt8Classifier
from kd_lab.core import results
from kd_lab.core.cache import Cache
from kd_lab.core.results import RunResult
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import checked
from kd_lab.data.hub import Hub
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.models import saved_model
from kd_lab.models.base import TorchClassifier
from kd_lab.models.encoder import Encoder
from kd_lab.models.lstm_attention import LstmAttention
from kd_lab.models.spec import BuildContext
from kd_lab.report.published import expected
from kd_lab.report.study.answers import predictions_by_run
from kd_lab.serving.text_classifier import TextClassifier

PIECES = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "cat", "dog", "rain", "snow", "we", "saw", "lot", "of", "##s")
TEXTS = ["a cat saw rain", "we saw a lot of dogs " * 9]
LABELS = ["animals", "weather"]
RUN = (
    *("tracking=none", "teacher=none", "loss=cross_entropy"),
    *("model=lstm_attention", "model.init=random", "name=broken"),
)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        files: name -> content of a sound folder.
        file: which of them is broken.
        broken: how.
        read: the lowest public functions that read it, given the folder.
        line: the command that reads it, given the folder; None where none does so at once.
        by_stdin: whether the command reads the file from its standard input.
        at_once: whether the command ends in a moment; one that would train is given only what it must refuse.
    """

    files: Mapping[str, bytes]
    file: str
    broken: Broken
    read: Callable[[Path], object]
    line: Callable[[Path], list[str]] | None = None
    by_stdin: bool = False
    at_once: bool = True


def kinds(scratch: Path) -> dict[str, Kind]:
    """name -> kind; sound models are made in `scratch`."""
    models = {name: _saved(model, scratch / name) for name, model in _models(scratch).items()}
    found: dict[str, Kind] = {}
    weights = {"model.safetensors": broken.any_safetensors, "model.onnx": broken.any_onnx}
    for name, files in models.items():
        for file in files:
            if file == "tokenizer.json" and name != "lstm":
                continue
            how = broken.any_tokenizer if file == "tokenizer.json" else weights.get(file, broken.any_json)
            found[f"{name}/{file}"] = Kind(files, file, how, _ask, _predict)
    table = b"text,label\n" + b"".join(f"we saw {n} cats,{'ab'[n % 2]}\n".encode() for n in range(24))
    pairs = pa.table({"text": [f"a cat {n}" for n in range(40)], "label": ["ab"[n % 2] for n in range(40)]})
    sink = io.BytesIO()
    pa.parquet.write_table(pairs, sink)
    split = {"train-0.parquet": sink.getvalue(), "test-0.parquet": sink.getvalue()}
    encoder = models["encoder"]
    found |= {
        "dataset.csv": Kind(
            {"dataset.csv": table}, "dataset.csv", broken.any_table,
            lambda folder: checked(Csv(str(folder / "dataset.csv")).load(), "dataset"),
            lambda folder: ["dataset=csv", f"dataset.path={folder / 'dataset.csv'}", *RUN], at_once=False,
        ),
        "train.parquet": Kind(
            split, "train-0.parquet", broken.any_parquet,
            lambda folder: checked(Hub(path=str(folder)).load(), "dataset"),
            lambda folder: ["dataset=parquet", f"dataset.path={folder}", *RUN], at_once=False,
        ),
        "checkpoint/tokenizer.json": Kind(
            encoder, "tokenizer.json", broken.any_tokenizer, _encode,
            lambda folder: ["dataset=bbc", f"tokenizer.checkpoint.path={folder}", "tokenizer.checkpoint.package=null", *RUN],  # noqa: E501
            at_once=False,
        ),
        "checkpoint/model.safetensors": Kind(encoder, "model.safetensors", broken.any_safetensors, _start),
        "predict.csv": Kind(
            {**models["lstm"], "in.csv": table}, "in.csv", broken.any_table,
            lambda folder: list(Table(folder / "in.csv", "text", None).chunks()),
            lambda folder: [*_predict(folder)[:3], "--csv", str(folder / "in.csv")],
        ),
        "stdin": Kind(
            {**models["lstm"], "stdin": b"a cat\nwe saw rain\n"}, "stdin", broken.any_lines, _lines,
            lambda folder: _predict(folder)[:3], by_stdin=True,
        ),
        "expected.csv": Kind({"expected.csv": EXPECTED}, "expected.csv", _expected, lambda f: expected.read(f / "expected.csv")),  # noqa: E501
        **_cells(),
    }  # fmt: skip
    return found


def _models(scratch: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    context = BuildContext(len(LABELS), len(PIECES), 0, "tokens", list, Cache(scratch / "cache"))
    small = LstmAttention(embedding=8, hidden=8, layers=1, init="random")
    lstm = small.build(context).eval()
    encoder = Encoder("small", "bert", 1, 16, 2, 16, init="random", max_positions=32).build(context).eval()
    sparse = small.build(context).eval()
    sparse.embedding.weight.data[:8] = 0.0
    return {
        "lstm": lstm, "encoder": encoder, "sparse": SparseClassifier(sparse), "bf16": TorchBf16Classifier(encoder),
        "int8": TorchInt8Classifier(lstm, "qnnpack" if "qnnpack" in torch.backends.quantized.supported_engines else "fbgemm"),  # noqa: E501
        "onnx": None,
    }  # fmt: skip


def _saved(model: TorchClassifier | None, folder: Path) -> dict[str, bytes]:
    """The files of a saved model; of None, of an ONNX graph made by hand."""
    card = {"labels": LABELS, "max_tokens": 16, "pad_id": 0}
    if model is None:
        folder.mkdir(parents=True)
        (folder / "classifier.json").write_text(json.dumps({"format": "onnx/1", **card}))
        (folder / "model.onnx").write_bytes(graph())
    else:
        saved_model.save(model, folder, card)
    (folder / "tokenizer.json").write_text(tokenizer())
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def tokenizer() -> str:
    """A BERT tokenizer of a few pieces, as JSON."""
    made = tokenizers.Tokenizer(tokenizers.models.WordPiece({p: n for n, p in enumerate(PIECES)}, unk_token="[UNK]"))  # noqa: S106 - a word piece
    made.normalizer = tokenizers.normalizers.Sequence(
        [tokenizers.normalizers.NFD(), tokenizers.normalizers.Lowercase()]
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return str(made.to_str())


def graph() -> bytes:
    """A classifier as ONNX: the mean of the pieces' vectors, multiplied by a matrix."""
    random = np.random.default_rng(0)
    weights = {"table": random.normal(size=(len(PIECES), 8)), "head": random.normal(size=(8, 2))}
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Einsum", ["vectors", "mask"], ["sum"], equation="bth,bt->bh"),
        helper.make_node("MatMul", ["sum", "head"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 2])]
    made = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs, tensors),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    return bytes(made.SerializeToString())


def _ask(folder: Path) -> object:
    """Loads the model in both ways, and asks it."""
    model = TextClassifier(folder)
    model.predict(TEXTS)
    return saved_model.load(folder)


def _predict(folder: Path) -> list[str]:
    return ["predict", "--model", str(folder), *TEXTS]


def _encode(folder: Path) -> object:
    made = Tokenizer(Checkpoint("none", path=str(folder)), max_tokens=16)
    return (
        made.fingerprint_parts(),
        made.vocab_size,
        made.pad_id,
        list(made.encode(TEXTS, None)),
        list(made.encode(TEXTS, TEXTS)),
    )


def _start(folder: Path) -> object:
    context = BuildContext(2, len(PIECES), 0, "tokens", list, Cache(folder.parent / "cache"))
    return Encoder("small", "bert", 1, 16, 2, 16, Checkpoint("none", path=str(folder)), max_positions=32).build(context)


def _lines(folder: Path) -> object:
    with (folder / "stdin").open("rb") as file:
        return list(of_lines(file))


EXPECTED = (
    b"row,column,metric,value,tolerance,source,trap\n"
    b"bert baseline,acc (%),metrics.test.accuracy,0.91,0.01,paper,\n"
    b"bert distilled loss.temperature=2,size,cost.size_mib / bert baseline,0.5,not run here: no time,paper,weak\n"
)


def _expected(sound: bytes) -> Any:
    cells = [
        "metrics..x",
        "cost.a - ",
        "=",
        "inf",
        "1e999",
        "not run here: ",
        "-1",
        "a=b=c",
        "bert teacher",
        "x / y / z",
    ]
    return broken.any_table(sound, cells)


def _cells() -> dict[str, Kind]:
    """A study of two settings with their answers: result.json, predictions.npz and sweep.json."""
    metrics = {"accuracy": 0.75, "f1_macro": 0.7, "accuracy_interval": [0.7, 0.8]}
    files: dict[str, bytes] = {}
    for cell, hidden in (("hidden=8,seed=0", 8), ("hidden=16,seed=0", 16)):
        config = {
            "name": "s", "seed": 0, "dataset": {"name": "csv"}, "model": {"name": "lstm_attention", "hidden": hidden},
            "loss": {"name": "cross_entropy"}, "teacher": None, "compression": {},
        }  # fmt: skip
        result = RunResult(
            "s", cell, "finished", config, [f"model.hidden={hidden}", "seed=0"], fingerprint={"tokens": "t", "result": cell},  # noqa: E501
            metrics={"validation": metrics, "test": metrics}, cost={"parameters": 10, "parameters_nonzero": 10, "size_mib": 0.5, "latency_ms": {"p50": 1.0}},  # noqa: E501
            history=[{"epoch": 0.0, "train/loss": 1.0}], durations_s={"fit": 1.0}, warnings=["a word"],
        )  # fmt: skip
        files[f"s/{cell}/result.json"] = json.dumps(vars(result)).encode()
        said = io.BytesIO()
        np.savez(said, labels=np.array([0, 1, 1, 0]), predictions=np.array([0, 1, 0, 0]))
        files[f"s/{cell}/predictions.npz"] = said.getvalue()
    axes = {"schema": 1, "command": ["kd-lab"], "axes": {"model.hidden": ["8", "16"], "seed": ["0"]}}
    files["s/sweep.json"] = json.dumps(axes).encode()
    return {
        "result.json": Kind(files, "s/hidden=8,seed=0/result.json", broken.any_json, _result, _report),
        "predictions.npz": Kind(files, "s/hidden=8,seed=0/predictions.npz", broken.any_npz, _answers, _report),
        "sweep.json": Kind(files, "s/sweep.json", broken.any_json, _sweep, _report),
    }


def _result(folder: Path) -> object:
    return results.collect(folder / "s"), results.peek(folder / "s" / "hidden=8,seed=0")


def _answers(folder: Path) -> object:
    setting: Any = SimpleNamespace(by_run={0: SimpleNamespace(cell="hidden=8,seed=0", fingerprint={})})
    return predictions_by_run(folder / "s", setting)


def _sweep(folder: Path) -> object:
    return results.axes(folder / "s"), results.swept_label(folder / "s", ["model.hidden=8"])


def _report(folder: Path) -> list[str]:
    return ["report", "s", "--markdown", "--multirun", str(folder)]
