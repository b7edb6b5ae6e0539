"""Every YAML composes, fits the signature it names, and repeats no default differently; every mistake is one line."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bindings import assert_binds, options, targets
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kd_lab.cli.compose import CONF, compose, experiments, mistake, register
from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build
from kd_lab.core.paths import root
from kd_lab.pipeline.run import resolved_config

GROUPS = {  # that config.yaml chooses from; the others are parts of their options
    next(iter(entry)).removeprefix("override ")
    for entry in OmegaConf.to_container(OmegaConf.load(Path(CONF, "config.yaml")))["defaults"]
    if isinstance(entry, dict)
}
OPTIONS = sorted(
    path.relative_to(CONF).with_suffix("").as_posix()
    for path in Path(CONF).rglob("*.yaml")
    if path.parent != Path(CONF) and "hydra" not in path.parts[len(Path(CONF).parts) :]  # Hydra builds its own parts
)
NEEDED = {  # options that have no default by design
    "also_on/csv": ["also_on.csv.path={csv}"],
    "also_on/hub": ["also_on.hub.hub_id=some/data"],
    "also_on/parquet": ["also_on.parquet.path=nowhere"],
    "dataset/csv": ["dataset.path={csv}"],
    "dataset/parquet": ["dataset.path=nowhere"],
    "dataset/frame": ["dataset.revision=none"],
    "dataset/hub": ["dataset.hub_id=some/data"],
    "model/checkpoint": ["model.path={checkpoint}"],
    "teacher/answers": ["teacher.path={csv}"],
    "teacher/checkpoint": ["teacher.path={checkpoint}"],
    "teacher/ready": ["teacher.path={checkpoint}"],
    "teacher/ensemble": ["+teacher.members={a: 1, b: 2}"],
}
BESIDE = {  # what else one is composed with here: parts that no group of config.yaml chooses, what lies on no disk
    "also_on/bbc": ["also_on.bbc.path={csv}"],
    "dataset/bbc": ["dataset.path={csv}"],
    "compression/out_of_scope": ["dataset=clinc"],  # which has such a class
    "pretrain/corpus/hub": ["alone.hub_id=some/data"],
    "pretrain/corpus/text": ["alone.path={csv}"],
    "pretrain/teacher/checkpoint": ["alone.model.path={checkpoint}"],
}
DIFFERENT = {  # values that differ from the signature's default, and why
    ("compression/onnx_int8_per_tensor", "per_channel"): "that is what it is for",
    ("compression/openvino_bf16", "precision"): "that is what it is for",
    ("checkpoint/minilm", "package"): "a checkpoint is one file of weights; the signature's None is for any",
    ("checkpoint/minilm", "sha256"): "as above",
    ("dataset/parquet", "name"): "Hub is one class for two options; results tell them apart",
    ("checkpoint/bert_base", "root"): "a place of the machine's: paths.weights",
    ("checkpoint/distilbert", "root"): "as above",
    ("checkpoint/minilm", "root"): "as above",
    ("model/checkpoint", "root"): "as above",
    ("teacher/ready", "root"): "as above",
    ("compression/out_of_scope", "label"): "the data set's: dataset.out_of_scope",
    ("model/checkpoint", "name"): "a resolver: the last part of the path, for tables that read configs",
    ("teacher/ready", "name"): "as above",
    ("teacher/ready", "max_tokens"): "that of the tokenizer group",
    ("dataset/csv", "task"): "one option for the whole run: task=multi_label",
    ("dataset/hub", "task"): "as above",
    ("dataset/parquet", "task"): "as above",
    ("trainer/default", "monitor"): "a resolver: accuracy, or what fits several labels a row",
    ("tracking/mlflow", "experiment"): "a resolver: what MLFLOW_EXPERIMENT_NAME says, else None",
    ("model/tiny_transformer", "init"): "there is no checkpoint of it: it starts from random",
    **{
        ("pretrain/corpus/wikitext2", name): "TextCorpus is one class for all corpora; this is where one of them lies"
        for name in ("path", "held_out_path", "hub_id", "config", "held_out_split", "unknown_word", "name")
    },
    **{("pretrain/corpus/wikipedia", name): "as above" for name in ("hub_id", "config", "name")},
    ("pretrain/corpus/hub", "name"): "as above: results tell them apart",
    ("model/distilbert_mini", "keep_layers"): "it has half of MiniLM's layers, so it must say which",
}
each_option = pytest.mark.parametrize("option", OPTIONS)
each_experiment = pytest.mark.parametrize("name", experiments())


def overrides(option: str) -> list[str]:
    """What chooses an option; a part of other options is put in a place of its own."""
    group, _, name = option.rpartition("/")
    chosen = f"{group}=[{name}]" if group in ("compression", "also_on") else f"{group}={name}"
    return [chosen if group in GROUPS else f"+{group}@alone={name}", *NEEDED.get(option, []), *BESIDE.get(option, [])]


def with_hydra(*given: str) -> Any:
    register()
    with initialize_config_dir(CONF, version_base="1.3"):
        return hydra_compose("config", list(given), return_hydra_config=True)


def fingerprint_parts(node: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, settings) of the outermost mappings with a `_target_`."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            where = f"{place}.{key}".lstrip(".")
            if "_target_" in value:
                yield where, value
            else:
                yield from fingerprint_parts(value, where)


def default(kind: type, name: str) -> Any:
    """The signature's default, with lists for tuples; `Parameter.empty` where there is none."""
    if dataclasses.is_dataclass(kind):
        fields = {field.name: field for field in dataclasses.fields(kind)}
        if fields[name].default_factory is not dataclasses.MISSING:
            return fields[name].default_factory()
    found = inspect.signature(kind).parameters[name].default
    return list(found) if isinstance(found, tuple) else found


# every option


def test_the_groups_are_those_that_others_rely_on() -> None:
    names = "dataset tokenizer model teacher loss compression optimizer trainer tracking method"
    promised = set(names.split())
    assert promised <= GROUPS
    assert {option.rpartition("/")[0] for option in OPTIONS} >= promised


@each_option
def test_option_composes_binds_and_can_be_named(option: str, tmp_path: Path, toy_csv: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        (tmp_path / file).touch()
    given = [one.replace("{csv}", str(toy_csv)).replace("{checkpoint}", str(tmp_path)) for one in overrides(option)]
    config = resolved_config(compose([*given, f"paths.data={tmp_path}"]))
    group = option.partition("/")[0]
    mine = config.get("alone", config[group] if group in config and group != "method" else config)
    for settings in targets(mine):
        assert_binds(settings)
    for where, settings in fingerprint_parts({"alone" if "alone" in config else group: mine}):
        assert len(fingerprint(build(settings, where))) == 16


def test_every_target_of_the_default_run_binds_and_can_be_named() -> None:
    config = resolved_config(compose())
    for settings in targets(config):
        assert_binds(settings)
    built = {where: fingerprint(build(settings, where)) for where, settings in fingerprint_parts(config)}
    assert {"dataset", "model", "loss", "optimizer", "trainer", "teacher.model", "teacher.loss", "tracking"} <= set(
        built
    )
    assert built["optimizer"] == built["teacher.optimizer"]
    assert built["model"] != built["teacher.model"]


def test_a_default_in_a_yaml_is_the_signatures() -> None:
    """Two defaults of one option drift apart: AdamW's rates once differed by a factor of two."""
    differing = set()
    for option in OPTIONS:
        for settings in targets(OmegaConf.to_container(OmegaConf.load(Path(CONF, f"{option}.yaml")))):
            kind = get_object(settings["_target_"])
            for name, value in options(settings).items():
                expected = default(kind, name)
                if value == "???" or expected is inspect.Parameter.empty:
                    continue
                if value != expected or type(value) is not type(expected):
                    differing.add((option, name))
    assert differing == set(DIFFERENT)


def test_a_list_of_compressions_keeps_its_order() -> None:
    for steps in (["prune_l1", "onnx_int8"], ["onnx_int8", "prune_l1"]):
        assert list(compose([f"compression=[{','.join(steps)}]"]).compression) == steps
    assert compose().compression == {}


def test_a_teacher_is_a_fit_with_options_of_its_own() -> None:
    config = compose(
        ["model=lstm_attention", "teacher=bert_base", "teacher.optimizer.encoder_lr=2e-5", "teacher.seed=7"]
    )
    assert config.teacher.model.name == "bert_base"
    assert config.teacher.optimizer.encoder_lr == 2e-5
    assert config.optimizer.encoder_lr == 1e-4
    assert (config.teacher.seed, config.seed) == (7, 0)
    assert list(config.teacher.loss.terms) == ["cross_entropy"]
    assert compose(["teacher=none"]).teacher is None


def test_the_losss_numbers_stand_at_its_top_for_sweeps() -> None:
    config = compose(["loss.alpha=0.1", "loss.temperature=8", "loss.sequence_weight=1"])
    loss = build(resolved_config(config.loss), "loss")
    assert (loss.alpha, loss.temperature, loss.sequence_weight) == (0.1, 8, 1)


def test_places_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KD_LAB_DATA", "/some/data")
    monkeypatch.setenv("KD_LAB_CACHE", "/some/cache")
    config = compose(["dataset=clinc", "dataset.config=small"])
    assert (config.paths.data, config.paths.cache) == ("/some/data", "/some/cache")
    assert config.dataset.path == "/some/data/clinc_oos/small"


@pytest.mark.parametrize(
    ("dataset", "columns", "test"),
    [
        ("clinc", ("text", None, "intent"), "test"),
        ("imdb", ("text", None, "label"), "test"),
        ("sst2", ("sentence", None, "label"), "validation"),
        ("mrpc", ("sentence1", "sentence2", "label"), "test"),
        ("qqp", ("question1", "question2", "label"), "validation"),
        ("cola", ("sentence", None, "label"), "validation"),
        ("rte", ("sentence1", "sentence2", "label"), "validation"),
        ("mnli", ("premise", "hypothesis", "label"), "validation_matched"),
        ("mnli_mismatched", ("premise", "hypothesis", "label"), "validation_mismatched"),
        ("qnli", ("question", "sentence", "label"), "validation"),
        ("wnli", ("sentence1", "sentence2", "label"), "validation"),
        ("ag_news", ("text", None, "label"), "test"),
    ],
)
def test_published_data_sets_have_the_hubs_columns_and_a_labelled_test(
    dataset: str, columns: tuple[str, str | None, str], test: str
) -> None:
    """GLUE's own test splits have no labels, but MRPC's has."""
    found = compose([f"dataset={dataset}"]).dataset
    assert (found.text_column, found.pair_column, found.label_column) == columns
    assert found.splits.test == test
    assert found.splits.get("validation") != test


# experiments


@each_experiment
def test_an_experiment_launches_all_its_cells_by_itself(name: str) -> None:
    first = (root() / "experiments" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# @package _global_"  # Hydra reads it on the first line only
    config = with_hydra(f"experiments={name}")
    assert config.hydra.mode == RunMode.MULTIRUN
    assert config.hydra.sweeper.params
    assert config.name == name, "the study is named for its file, so that `kd-lab report` finds it"


def test_the_demo_has_each_student_by_each_method() -> None:
    params = with_hydra("experiments=demo").hydra.sweeper.params
    assert set(params.model.split(",")) == {"distilbert_mini", "lstm_attention"}
    methods = "baseline distilled distilled_prune_l1 distilled_torch_int8 distilled_onnx_int8"
    assert set(params.method.split(",")) == set(methods.split())
    by_method = {method: compose(["experiments=demo", f"method={method}"]) for method in methods.split()}
    steps = [list(config.compression) for config in by_method.values()]
    assert steps == [[], [], ["prune_l1"], ["torch_int8"], ["onnx_int8"]]
    assert {method for method, config in by_method.items() if "alpha" not in config.loss} == {"baseline"}


def test_the_demo_gives_a_baseline_what_was_chosen_for_it() -> None:
    chosen = compose(["experiments=demo"]).chosen
    for model, method in itertools.product(chosen, ("baseline", "distilled", "distilled_onnx_int8")):
        config = compose(["experiments=demo", f"model={model}", f"method={method}"])
        asked = chosen[model]["labels" if method == "baseline" else "teacher"]
        assert config.trainer.max_epochs == asked.epochs
        assert (config.optimizer.encoder_lr, config.optimizer.head_lr) == (asked.encoder_lr, asked.head_lr)
    alone = compose(["experiments=demo", "loss.alpha=1"])
    assert alone.trainer.max_epochs == chosen.distilbert_mini.labels.epochs


def test_the_recommended_method_is_what_was_tried_on_other_data_and_any_option_goes_before_it() -> None:
    found = compose(["method=recommended", "model=lstm_attention"])
    tried = compose(["experiments=recommended/held_out", "method=recommended"])
    assert found.dataset.augmentation.factor == tried.dataset.augmentation.factor > 0
    assert (found.loss, found.model.init) == (tried.loss, tried.model.init)
    for option in ("max_epochs", "patience"):
        assert found.trainer[option] == tried.trainer[option]
    assert found.optimizer.head_lr == tried.optimizer.head_lr != compose(["method=distilled"]).optimizer.head_lr
    other = compose(["method=recommended", "model=distilbert_mini"])
    assert other.dataset.augmentation.factor == found.dataset.augmentation.factor
    assert other.optimizer == compose(["model=distilbert_mini"]).optimizer
    own = compose(["method=recommended", "model=lstm_attention", "model.init=random", "optimizer.head_lr=1e-3"])
    assert (own.model.init, own.optimizer.head_lr) == ("random", 1e-3)


def test_the_demo_has_few_labels_and_much_text_without() -> None:
    dataset = compose(["experiments=demo"]).dataset
    libraries = len(dataset.libraries)
    assert dataset.labelled == 500
    assert libraries * dataset.rows_per_library > 30 * dataset.labelled


# mistakes


@pytest.mark.parametrize(
    ("given", "where", "words"),
    [
        (["foo=1"], "override foo", "an unknown one"),
        (["loss.tmperature=3"], "override loss.tmperature", "an unknown one"),
        (
            ["model=foo"],
            "override model",
            "distilmpnet, gru_attention, lstm_attention, minilm, mpnet, static, tfidf, tiny_transformer, got foo",
        ),
        (["teacher=foo"], "override teacher", "ensemble, minilm, mpnet, none, ready, tfidf, got foo"),
        (["compression=[prune_l1,foo]"], "override compression", "trim_vocabulary, got foo"),
        (["dataset/split=foo"], "override dataset/split", "default, got foo"),
        (["experiments=foo"], "override experiments", "got foo"),
        (
            ["experiments=seeds/foo"],
            "override experiments",
            "textattack/ag_news, textattack/imdb, textattack/sst2, got seeds/foo",
        ),
        (["trainer.strategy=ddp"], "override trainer.strategy", "side by side: -m hydra/launcher=joblib"),
        (["model=["], "overrides", "no viable alternative"),
        (["model"], "overrides", "missing EQUAL"),
        (["model=distilbert_mini,lstm_attention"], "overrides", "--multirun"),
        (["~foo"], "overrides", "does not exist"),
    ],
)
def test_a_mistake_in_an_override_is_one_clear_line(given: list[str], where: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        compose(given)
    assert caught.value.where == where
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("option", sorted(set(NEEDED) - {"teacher/ensemble"}))
def test_a_missing_value_is_named_with_its_cure(option: str) -> None:
    name = NEEDED[option][0].partition("=")[0]
    config = compose([option.replace("/", "=")])
    for node in (config, config[option.partition("/")[0]]):
        with pytest.raises(OmegaConfBaseException) as caught:
            resolved_config(node)
        said = mistake(caught.value)
        assert str(said) == f"{name}: expected a value, got none. Give it, e.g. {name}=VALUE."


def test_an_unknown_place_in_an_interpolation_is_one_clear_line() -> None:
    with pytest.raises(OmegaConfBaseException) as caught:
        resolved_config(compose(["paths.data=${nothing}"]))
    assert "Interpolation key 'nothing' not found" in str(mistake(caught.value))
    assert "\n" not in str(mistake(caught.value))


def test_hydra_silences_all_loggers_but_ours() -> None:
    """Hydra's `disabled` logging also disabled `kd_lab`: nobody heard that MLflow was away."""
    code = """
import logging
from logging.config import dictConfig
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from kd_lab.cli.compose import CONF, register
ours, other = logging.getLogger("kd_lab"), logging.getLogger("another")
register()
with initialize_config_dir(CONF, version_base="1.3"):
    config = compose("config", return_hydra_config=True).hydra
for name in ("hydra_logging", "job_logging", "job_logging"):
    dictConfig(OmegaConf.to_container(config[name]))
ours.warning("ours")
other.warning("another's")
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stderr == "ours\n"


def test_a_file_is_parsed_once_here_and_what_is_composed_is_the_callers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tests' compositions are cheap; it went unnoticed once that they were not."""
    first = compose(["dataset=imdb"])
    parsed: list[Any] = []
    monkeypatch.setattr(OmegaConf, "load", parsed.append)
    second = compose(["dataset=imdb"])
    assert parsed == []
    second.dataset.name = "mine"
    third = compose(["dataset=imdb"])
    assert first == third != second
