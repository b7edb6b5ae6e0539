"""Imports point down, and other promises about the code as a whole. The list of rooms is written only here."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import kd_lab

ROOT = Path(kd_lab.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

PLUGINS = ROOT.parent / "hydra_plugins" / "kd_lab"
ROOMS = (  # each may import from those before it; the files of a room import each other, but in no circle
    "core",
    "data",
    "losses",
    "models",
    "serving",
    "evaluation",
    "training",
    "compression",
    "tracking",
    "pipeline",
    "sweeps",
    "report",
    "cli",
    "api",
)
SEE_CONFIGS = {"pipeline", "sweeps", "cli"}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def room(file: Path) -> str:
    """The room that the file lies in; "" for the package's own and for the command line's entry."""
    return file.relative_to(ROOT).parts[0] if file.parent != ROOT else ""


def module_of(file: Path) -> str:
    """Its dotted name."""
    return ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def imported(module: ast.Module) -> Iterator[str]:
    """Dotted names of what a module imports anywhere in it, inside functions and for type checkers too."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def each_file(test: Callable[[Path], None]) -> Callable[[], None]:
    """The test over every file, as one: thousands of small tests cost more than they hold. It says all that fail."""

    def over_all() -> None:
        wrong = []
        for file in FILES:
            try:
                test(file)
            except AssertionError as error:
                wrong.append(f"{named(file)}: {error}")
        assert not wrong, "\n".join(wrong)

    over_all.__doc__ = test.__doc__
    return over_all


def test_every_file_lies_in_a_room() -> None:
    assert {room(file) for file in FILES} - {""} == set(ROOMS)
    assert {file.name for file in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


@each_file
def test_imports_point_down(file: Path) -> None:
    names = [name for name in imported(tree(file)) if name.split(".")[0] == "kd_lab"]
    assert "kd_lab" not in names, "import from the file that defines a name"
    if room(file):
        lower = ROOMS[: ROOMS.index(room(file)) + 1]
        assert not [name for name in names if name.split(".")[1] not in lower], f"{named(file)} imports from above"


def test_no_two_files_import_each_other_by_any_way() -> None:
    """Hydra's plug-ins included; inside functions and for type checkers too."""
    files = {module_of(file): file for file in [*FILES, *PLUGINS.glob("*.py")]}
    arrows = {
        name: {near for one in imported(tree(file)) for near in (one, one.rpartition(".")[0]) if near in files}
        - {name, "kd_lab"}
        for name, file in files.items()
    }
    while ends := [name for name, others in arrows.items() if not others & arrows.keys()]:
        for name in ends:
            del arrows[name]
    assert not arrows, f"in a circle, or above one: {sorted(arrows)}"


@each_file
def test_imports_are_absolute(file: Path) -> None:
    assert not [name for name in imported(tree(file)) if name.startswith(".")]


@each_file
def test_only_pipeline_sweeps_and_cli_see_a_config(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    seen = [word for word in ("DictConfig", "OmegaConf", "omegaconf") if word in text]
    assert not seen or room(file) in SEE_CONFIGS


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
def test_file_is_named_for_an_idea(file: Path) -> None:
    empty = "util utils helper helpers common manager handler misc"
    assert not set(file.stem.split("_")) & set(empty.split())


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for file in FILES:
        for node in tree(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(named(file))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@each_file
def test_every_public_function_and_class_says_what_it_is(file: Path) -> None:
    module = tree(file)
    assert ast.get_docstring(module), "the first line says what the file is for"
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{named(file)}: {node.name}"


@each_file
def test_a_package_file_holds_a_docstring_alone(file: Path) -> None:
    if file.name == "__init__.py" and room(file):
        assert [type(one) for one in tree(file).body] == [ast.Expr], "only a docstring"


@each_file
def test_no_comprehension_names_its_variable_like_a_function_that_is_called_beside_it(file: Path) -> None:
    """Python 3.12.1 takes the function for the variable: every cell failed there of an `at`."""
    kinds = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for function in (one for one in ast.walk(tree(file)) if isinstance(one, ast.FunctionDef)):
        parts = list(ast.walk(function))
        calls = {one for one in parts if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
        for made in (one for one in parts if isinstance(one, kinds)):
            targets = [name for one in made.generators for name in ast.walk(one.target)]
            bound = {name.id for name in targets if isinstance(name, ast.Name)}
            called = {ast.unparse(one.func) for one in calls - set(ast.walk(made))}
            assert not bound & called, function.name
