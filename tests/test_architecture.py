"""Imports point down, and other promises about the code as a whole. The list of layers is written only here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kd_lab

ROOT = Path(kd_lab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Each line may import from the lines above it, never from its own; a folder is one entry and its files import each
# other. A layer of the design has two lines where a part stands on a part of the same layer.
LAYERS: tuple[tuple[int, set[str]], ...] = (
    (0, {"redact", "safe_path", "hub_revision"}),  # what an error says is without credentials
    (
        0,
        {
            "types",
            "errors",
            "option_types",
            "code_hash",
            "cores",
            "paths",
            "progress",
            "energy",
            "formats",
            "heap",
            "imports",
            "process_settings",
            "signature",
            "weight_constraint",
        },
    ),
    (0, {"moved", "machine", "contention", "cache_folder"}),
    (0, {"cache_check", "cache_lock"}),
    (0, {"cache_entry", "cache_gc", "drafts"}),
    (0, {"reading"}),
    (0, {"result_shape", "tokenizer_file", "weights_file"}),
    (0, {"cache", "results", "classifier", "instantiate", "fresh_process", "onnx_session"}),
    # a checkpoint's identity is a file's hash, which `cache` computes; a cell's folder is known by its result
    (0, {"pretrained", "stamp", "array_classifier", "run_folder"}),
    (
        1,
        {
            "data",
            "models",
            "losses",
            "metrics",
            "cost",
            "confusion",
            "table",
            "significance",
            "written_files",
            "optimizer",
            "trainer",
            "search",
        },
    ),
    (1, {"text_classifier", "calibration", "model_card", "turns", "predictions"}),
    # compression takes models apart: it must know a torch classifier from an exported one, and how it is saved.
    # served_model is the file that MLflow reads as code; it wraps text_classifier.
    (1, {"compression", "served_model", "deployable", "timing_grid"}),
    (2, {"module", "resume", "mlflow_run", "mlflow_store", "predict"}),
    (2, {"mlflow_level"}),
    (2, {"tracking", "invariance"}),
    (2, {"training"}),
    (3, {"fit", "outputs", "evaluation"}),
    (3, {"compressed"}),
    (4, {"plan"}),
    (4, {"cell"}),
    (4, {"provenance", "publish"}),
    (4, {"pipeline"}),
    (5, {"report", "launch"}),
    (5, {"verbs"}),
    (5, {"__main__"}),
)
LINE = {part: line for line, (_, parts) in enumerate(LAYERS) for part in parts}
SEE_CONFIGS = {"plan", "cell", "pipeline", "launch", "verbs"}


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def part(file: Path) -> str:
    """The entry of LAYERS that the file belongs to; "" for the package's own docstring."""
    first = file.relative_to(ROOT).with_suffix("").parts[0]
    return "" if first == "__init__" else first


def imported(module: ast.Module) -> Iterator[str]:
    """Dotted names of what a module imports anywhere in it, inside functions and for type checkers too."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


each_file = pytest.mark.parametrize("file", FILES, ids=named)


def test_every_module_has_its_place_in_the_layers() -> None:
    assert {part(file) for file in FILES} - {""} == set(LINE)
    assert sum(len(parts) for _, parts in LAYERS) == len(LINE), "a part stands in two layers"
    assert [layer for layer, _ in LAYERS] == sorted(layer for layer, _ in LAYERS)


@each_file
def test_imports_point_down(file: Path) -> None:
    names = [name for name in imported(tree(file)) if name.split(".")[0] == "kd_lab"]
    assert "kd_lab" not in names, "import from the file that defines a name"
    ours = part(file)
    for name in names:
        theirs = name.split(".")[1]
        same_folder = theirs == ours and file.parent != ROOT
        assert same_folder or LINE[theirs] < LINE[ours], f"{named(file)} imports {name}"


@each_file
def test_imports_are_absolute(file: Path) -> None:
    assert not [name for name in imported(tree(file)) if name.startswith(".")]


@each_file
def test_only_pipeline_and_verbs_see_a_config(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    seen = [word for word in ("DictConfig", "OmegaConf", "omegaconf") if word in text]
    assert not seen or part(file) in SEE_CONFIGS


@each_file
def test_nothing_read_from_disk_can_run_code(file: Path) -> None:
    module = tree(file)
    roots = {name.split(".")[0] for name in imported(module)}
    assert not roots & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            arguments = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert arguments.get("allow_pickle", "False") == "False"
            assert "trust_remote_code" not in arguments
            if ast.unparse(node.func) == "torch.load":
                assert arguments.get("weights_only") == "True"
    assert "trust_remote_code" not in file.read_text(encoding="utf-8")


@each_file
def test_nothing_listens_to_the_whole_network(file: Path) -> None:
    assert "0.0.0.0" not in file.read_text(encoding="utf-8")  # noqa: S104 - this is what we look for


@each_file
def test_file_is_named_for_an_idea(file: Path) -> None:
    assert not set(file.stem.split("_")) & {
        "util",
        "utils",
        "helper",
        "helpers",
        "common",
        "manager",
        "handler",
        "misc",
    }


@each_file
def test_every_public_function_and_class_says_what_it_is(file: Path) -> None:
    module = tree(file)
    assert ast.get_docstring(module), "the first line says what the file is for"
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{named(file)}: {node.name}"


@pytest.mark.parametrize("file", [file for file in FILES if file.name == "__init__.py"], ids=named)
def test_a_package_file_holds_a_docstring_alone(file: Path) -> None:
    (only,) = tree(file).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)
