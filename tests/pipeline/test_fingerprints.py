"""Every option changes the name of what it changes; those that change no name are listed here, each with the reason."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from kd_lab.cli.compose import compose
from kd_lab.compression.quantize.torch_int8 import TorchInt8
from kd_lab.core.cache import fingerprint
from kd_lab.core.paths import root
from kd_lab.data.augmentation import Augmentation
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.dataset import SplitPlan
from kd_lab.losses.term.cross_entropy import CrossEntropy
from kd_lab.pipeline.plan import Plan

OF_VECTORS = ("cnn.Cnn", "gru_attention.GruAttention", "lstm_attention.LstmAttention", "static.Static")
OF_COLUMNS = {  # as in `NO_NAME`, of data sets that are read by columns
    "label_separator": "what cuts several labels: of task=multi_label alone, see test_label_sets",
    "label_columns": "what several labels are called: of task=multi_label alone, see test_label_columns",
    "id_column": "in the name of answers alone",
}
# Class -> option -> why another value changes no name.
NO_NAME = {
    "data.csv.Csv": {"name": "a label", "source": "a hint in an error", **OF_COLUMNS},
    "data.hub.Hub": {
        "name": "a label",
        "out_of_scope": "how answers are judged: in the result's name alone",
        **OF_COLUMNS,
    },
    **{f"models.{model}": {"name": "a label"} for model in ("encoder.Encoder", "tfidf.Tfidf", *OF_VECTORS)},
    "data.docstrings.Docstrings": {"name": "a label"},
    "models.checkpoint_encoder.CheckpointEncoder": {
        "name": "a label",
        "revision": "the commit that it leads to on the hub is the name, of what comes from there",
        "root": "where the file lies, not what is in it",
    },
    "training.answers_teacher.AnswersTeacher": {"name": "a label"},
    "training.ensemble_teacher.EnsembleTeacher": {"name": "a label"},
    "training.ready_teacher.ReadyTeacher": {
        "name": "a label",
        "at_chance": "whether the run goes on, not what it makes",
        "sha256": "which file is taken: its content is the name",
        "revision": "where the file lies: its content is the name",
        "root": "where the file lies: its content is the name",
    },
    "data.text_corpus.TextCorpus": {"name": "a label"},
    "training.step_trainer.StepTrainer": {
        "strategy": "how processes are joined, where there are several",
        "checkpoint_every": "from where a run that is cut off goes on",
    },
    "data.checkpoint.Checkpoint": {
        "package": "where the file lies, not what is in it",
        "path": "where the file lies: its content is the name where no sha256 is given",
        "hub_id": "where the file lies, where a sha256 says which it is",
        "revision": "the commit that it leads to on the hub is the name, of what comes from there without a sha256",
        "root": "where the file lies, not what is in it",
    },
}
PLACES = {
    "tracking.mlflow_tracking.MlflowTracking",
    "tracking.mlflow_tracking.NoTracking",
}  # where a result is shown, not what it is
SHAPE = {"layers": 2, "width": 8, "heads": 2, "feed_forward": 8}
WEIGHTS = {"cross_entropy": CrossEntropy()}
GIVEN: dict[str, dict[str, Any]] = {  # what a class needs to be made, or one of its options to have a meaning
    "compression.out_of_scope.OutOfScope": {"label": "oos"},
    "data.augmentation.Augmentation": {"checkpoint": Checkpoint("a/b", sha256="0"), "factor": 10},
    "data.csv.Csv": {"path": "one.csv"},
    "data.hub.Hub": {"hub_id": "a/b"},
    **{
        f"data.{kind}.transfer_{option}": {**given, "transfer_path": "one.csv"}
        for kind, given in (("csv.Csv", {"path": "one.csv"}), ("hub.Hub", {"hub_id": "a/b"}))
        for option in ("column", "sentences", "limit")
    },
    "data.docstrings.Docstrings": {"libraries": ("numpy", "torch")},
    "data.text_corpus.TextCorpus": {"path": "one.csv"},
    **{
        f"data.text_corpus.TextCorpus.{option}": {"hub_id": "a/b"}
        for option in ("hub_id", "config", "revision", "split", "held_out_split")
    },
    "data.tokenizer.Tokenizer": {"checkpoint": Checkpoint("a/b", path="one")},
    "losses.hybrid.Hybrid": {"alpha": 0.5, "temperature": 2.0, "sequence_weight": 0.5, "alpha_end": 0.9},
    "losses.term.kl.KL": {"temperature": 2.0},
    "losses.weighted_sum.WeightedSum": {"terms": WEIGHTS, "weights": {"cross_entropy": 1.0}},
    "models.encoder.Encoder": {
        "name": "e",
        "architecture": "bert",
        **SHAPE,
        "init": "pretrained",
        "checkpoint": Checkpoint("a/b", sha256="0"),
    },
    "data.checkpoint.Checkpoint": {"hub_id": "a/b", "sha256": "0"},
    "models.checkpoint_encoder.CheckpointEncoder": {"path": "one"},
    **{f"models.{model}.vectors": {"init": "file", "embedding": 2, "vectors": "one.vec"} for model in OF_VECTORS},
    "training.answers_teacher.AnswersTeacher": {"path": "one.csv"},
    "training.ensemble_teacher.EnsembleTeacher": {"members": {"a": 1, "b": 2}},
    "training.ready_teacher.ReadyTeacher": {"path": "one"},
}
OTHER: dict[str, Any] = {  # another value of an option, by its name or by class and name
    "task": "multi_label",
    "label_separator": "pipe",
    "label_columns": ("a", "b"),
    "widths": (2, 3),
    "vectors": "two.vec",
    "models.static.Static.hidden": 16,
    "temperature_end": 1.0,
    "losses.term.dist.Dist.columns": 2.0,
    "losses.term.dkd.DKD.temperature": 3.0,
    "losses.term.pkd.PKD.layers": "last",
    "losses.term.tinybert_attention.TinyBertAttention.layers": "last",
    "losses.term.tinybert_hidden.TinyBertHidden.layers": "last",
    "at_chance": "go_on",
    "augmentation": Augmentation(Checkpoint("a/b", sha256="0"), factor=3),
    "mask_word": "<mask>",
    "class_weights": "balanced",
    "confidence": 0.8,
    "confidence_column": "d",
    "labels": {"theirs": "ours"},
    "mean_of": "logits",
    "members": {"a": 1, "b": 3},
    "models.checkpoint_encoder.CheckpointEncoder.dropout": 0.3,
    "models.checkpoint_encoder.CheckpointEncoder.layers": 2,
    "root": "elsewhere",
    "training.answers_teacher.AnswersTeacher.path": "two.csv",
    "training.answers_teacher.AnswersTeacher.split": "train",
    "id_column": "d",
    "training.ensemble_teacher.EnsembleTeacher.weights": {"a": 1.0, "b": 2.0},
    "architecture": "distilbert",
    "betas": (0.8, 0.99),
    "compression.prune.layers.DropLayers.layers": 1,
    "checkpoint": Checkpoint("c/d", sha256="1"),
    "config": "other",
    "data.csv.Csv.path": "two.csv",
    "data.text_corpus.TextCorpus.path": "two.csv",
    "data.text_corpus.TextCorpus.split": "test",
    "held_out_path": "two.csv",
    "held_out_split": "validation",
    "max_steps": 7,
    "strategy": "ddp",
    "unknown_word": "<unk>",
    "data.tokenizer.Tokenizer.checkpoint": Checkpoint("a/b", path="two"),
    "columns": ("text", "label"),
    "delimiter": "tab",
    "device": "cpu",
    "encoding": "latin-1",
    "engine": next(engine for engine in ("onednn", "qnnpack", "fbgemm") if engine != torch.backends.quantized.engine),
    "group_words": 5,
    "heads": 1,
    "hub_id": "c/d",
    "init": "random",
    "compression.out_of_scope.OutOfScope.label": "another",
    "compression.prune.layers.DropLayers.keep": [1],
    "keep_layers": [0, 1],
    "label_column": "b",
    "labelled": 100,
    "label_smoothing": 0.1,
    "libraries": ("numpy", "pandas"),
    "monitor": "nll",
    "name": "another",
    "out_of_scope": "oos",
    "package": "other",
    "pair_column": "c",
    "path": "two",
    "precision": "32-true",
    "compression.quantize.openvino.OpenVino.precision": "bf16",
    "revision": "v2",
    "sampling": "balanced",
    "schedule": "cosine",
    "scope": "layer",
    "sha256": "1",
    "split": SplitPlan(seed=1),
    "splits": {"train": "train"},
    "terms": {"cross_entropy": CrossEntropy(0.1)},
    "test_path": "two.csv",
    "text_column": "b",
    "transfer_column": "b",
    "transfer_limit": 5,
    "transfer_path": "two.csv",
    "transfer_sentences": (4, 35),
    "validation_path": "two.csv",
    "weigh": "alike",
    "weights": {"cross_entropy": 2.0},
    "source": "elsewhere",
    "limit": 5,
    "threads": 1,
}


def named_by_conf() -> list[str]:
    """Every class that a `_target_` of conf/ names, but those of Hydra's own plugins; without `kd_lab.`."""
    found = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if str(value.get("_target_")).startswith("kd_lab."):
                found.add(value["_target_"].removeprefix("kd_lab."))
            value = list(value.values())
        for item in value if isinstance(value, list) else ():
            walk(item)

    for path in (root() / "conf").rglob("*.yaml"):
        walk(yaml.safe_load(path.read_text(encoding="utf-8")))
    return sorted(found - PLACES)


def options() -> list[tuple[str, str]]:
    return [(name, option) for name in named_by_conf() for option in inspect.signature(kind(name)).parameters]


def kind(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"kd_lab.{module}"), attribute)


def another(name: str, option: str, value: Any) -> Any:
    for key in (f"{name}.{option}", option):
        if key in OTHER:
            return OTHER[key]
    if isinstance(value, bool):
        return not value
    assert isinstance(value, int | float), f"write another value of {name}.{option} into OTHER"
    return value / 2 if isinstance(value, float) else value + 1


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CSV files, two of word vectors, two folders of a tokenizer, weights and a data set, of different contents."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kd_lab.compression.quantize.openvino.has_bf16", lambda: True)
    for name in ("one", "two"):
        Path(f"{name}.csv").write_text(name, encoding="utf-8")
        Path(f"{name}.vec").write_text(f"{name} 1 2\nother 3 4\n", encoding="utf-8")
        Path(name).mkdir()
        for file in ("config.json", "tokenizer.json", "model.safetensors", "train-0.parquet", "test-0.parquet"):
            Path(name, file).write_text(name, encoding="utf-8")


@pytest.mark.parametrize(("name", "option"), options(), ids=lambda text: text)
def test_every_option_of_every_class_of_conf_changes_a_name_or_is_listed(name: str, option: str) -> None:
    default = inspect.signature(kind(name)).parameters[option].default
    given = GIVEN.get(f"{name}.{option}", GIVEN.get(name, {}))
    now = given.get(option, default)
    before = kind(name)(**given)
    after = kind(name)(**{**given, option: another(name, option, now)})
    same = fingerprint(before) == fingerprint(after)
    assert same == (option in NO_NAME.get(name, {}))


def test_what_is_listed_is_an_option() -> None:
    assert {(name, option) for name, listed in NO_NAME.items() for option in listed} <= set(options())


def test_a_local_folder_is_named_by_its_content_and_a_package_or_the_hub_by_its_name() -> None:
    one, two = (fingerprint(Checkpoint("a/b", path=path)) for path in ("one", "two"))
    assert one != two
    for file in ("model.safetensors", "config.json"):
        Path("two", file).write_text("one", encoding="utf-8")
    assert one == fingerprint(Checkpoint("a/b", path="two"))
    assert fingerprint(Checkpoint("a/b")) != fingerprint(Checkpoint("c/d"))


def test_the_machines_own_engine_has_the_name_of_that_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    own = torch.backends.quantized.engine
    assert fingerprint(TorchInt8()) == fingerprint(TorchInt8(own))
    other = OTHER["engine"]
    monkeypatch.setattr(type(torch.backends.quantized), "engine", other)  # as on another kind of processor
    assert fingerprint(TorchInt8()) == fingerprint(TorchInt8(other)) != fingerprint(TorchInt8(own))


def names(*overrides: str) -> dict[str, str]:
    return Plan(compose(["model=distilbert_mini", *overrides])).fingerprints


TORCH = "compression=[torch_int8]"
PRUNED = "compression=[prune_heads]"
HUB = ("dataset=hub", "dataset.hub_id=a/b")


@pytest.mark.parametrize(
    ("base", "change", "changed"),
    [
        (HUB, "+dataset.out_of_scope=oos", {"result"}),
        ((TORCH,), f"compression.torch_int8.engine={OTHER['engine']}", {"compressed", "result"}),
        ((PRUNED,), "compression.prune_heads.keep=0.25", {"compressed", "result"}),
        ((PRUNED,), "recovery=teacher", {"compressed", "result"}),
        ((TORCH,), "recovery=teacher", set()),
        ((), "evaluation.requests=5", {"result"}),
        ((), "evaluation.threads=1", {"result"}),
        ((), "seed=1", {"fit", "compressed", "result"}),
        ((), "loss.alpha=0.3", {"fit", "compressed", "result"}),
        ((), "optimizer.weight_decay=0.3", {"fit", "compressed", "result"}),
        ((), "trainer.batch_size=7", {"fit", "compressed", "result"}),
        ((), "model.dropout=0.3", {"fit", "compressed", "result"}),
        ((), "teacher.seed=3", {"teacher", "fit", "compressed", "result"}),
        ((), "dataset.split.seed=3", {"tokens", "teacher", "fit", "compressed", "result"}),
        ((), "tokenizer.max_tokens=9", {"tokens", "teacher", "fit", "compressed", "result"}),
        ((), "name=another", set()),
        ((), "dataset.name=another", set()),
        ((), "model.name=another", set()),
        ((), "tracking=none", set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_option_changes_the_names_of_what_it_changes_and_no_others(
    base: tuple[str, ...], change: str, changed: set[str]
) -> None:
    before, after = names(*base), names(*base, change)
    assert {name for name in before if before[name] != after[name]} == changed


def test_rows_made_out_of_others_rename_what_learns_from_them_and_neither_teacher_nor_baseline() -> None:
    before, after = names(), names("dataset.augmentation.factor=3")
    assert {name for name in after if before.get(name) != after[name]} == {"transfer", "fit", "compressed", "result"}
    assert (
        names("dataset.augmentation.seed=1", "dataset/augmentation=tinybert", "dataset.augmentation.factor=0") == before
    )
    alone = ("teacher=none", "loss=cross_entropy")
    assert names(*alone) == names(*alone, "dataset.augmentation.factor=3")


def test_ids_to_join_answers_by_rename_what_learns_from_these_and_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label,a,b\na b,x,1,2\nc d,y,2,1\n")
    base = ("dataset=csv", f"dataset.path={tmp_path}/rows.csv", "teacher=answers", f"teacher.path={tmp_path}/rows.csv")
    by_text, by_a = names(*base), names(*base, "teacher.id_column=a")
    changed = {"teacher", "fit", "compressed", "result"}
    assert {name for name in by_text if by_text[name] != by_a[name]} == changed
    by_b = names(*base, "teacher.id_column=a", "dataset.id_column=b")
    assert {name for name in by_a if by_a[name] != by_b[name]} == changed
    model = ("dataset=csv", f"dataset.path={tmp_path}/rows.csv")
    assert names(*model) == names(*model, "dataset.id_column=b")


def test_text_without_labels_renames_what_learns_from_it_and_neither_teacher_nor_baseline(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na b,x\nc d,y\n")
    (tmp_path / "more.txt").write_text("e f\n")
    base = ("dataset=csv", f"dataset.path={tmp_path}/rows.csv")
    more = f"dataset.transfer_path={tmp_path}/more.txt"
    before, after = names(*base), names(*base, more)
    assert {name for name in after if before.get(name) != after[name]} == {"transfer", "fit", "compressed", "result"}
    alone = (*base, "teacher=none", "loss=cross_entropy")
    assert names(*alone) == names(*alone, more)
