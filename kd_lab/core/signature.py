"""Reads what a class of kd_lab takes out of its source, without importing it: torch alone takes seconds to import."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

_PACKAGE = Path(__file__).parents[1]
_IMPORTED = ("typing", "collections", "annotated_types", "pathlib", "kd_lab.core.option_types")  # where types come from
_OURS = ("kd_lab.", "hydra_plugins.kd_lab.")  # whose sources are read
MISSING = object()  # the default of an option that must be given
_UNREADABLE = object()  # a default that is more than a literal


class Option(NamedTuple):
    """One argument of a constructor."""

    kind: Any  # the type that its annotation says; a class of kd_lab stands as a subclass of `Made`
    default: Any  # MISSING where it must be given

    @property
    def plain_default(self) -> Any:
        """The default where it is a literal, else MISSING."""
        return MISSING if self.default is _UNREADABLE else self.default


class Made:
    """Stands for a class of kd_lab in an annotation; `target` is its dotted name."""

    target: ClassVar[str]


def exists(target: str) -> bool:
    """Whether it is the dotted name of a class, by the file that defines it."""
    return _class(target) is not None


def options(target: str) -> dict[str, Option]:
    """The arguments of the class's constructor, by name.

    Args:
        target: of a class that `exists`.
    """
    module = target.rpartition(".")[0]
    node = _class(target)
    assert node is not None, target
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _arguments(statement, module)
    found = {name: one for base in _bases(target) for name, one in options(base).items()}
    if any(_called(decorator) == "dataclass" for decorator in node.decorator_list):
        found |= _fields(node, module)
    return found


def members(target: str) -> set[str]:
    """Names of the methods, properties and fields of a class that `exists`, its bases' included."""
    found: set[str] = set()
    for one in lineage(target):
        for statement in (_class(one) or ast.ClassDef("", [], [], [], [])).body:
            if isinstance(statement, ast.FunctionDef):
                found.add(statement.name)
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                found.add(statement.target.id)
    return found


def lineage(target: str) -> Iterator[str]:
    """The class and those of kd_lab that it stands on."""
    yield target
    for base in _bases(target):
        yield from lineage(base)


def _bases(target: str) -> list[str]:
    node, module = _class(target), target.rpartition(".")[0]
    found = [_named(module, ast.unparse(base)) for base in (node.bases if node else [])]
    return [one for one in found if isinstance(one, str)]


@cache
def _tree(module: str) -> dict[str, ast.stmt]:
    """Names that a module of kd_lab defines or imports -> the statement that does; empty where there is none."""
    parts = module.split(".")
    if not f"{module}.".startswith(_OURS) or not all(part.isidentifier() for part in parts):
        return {}
    path = _PACKAGE.parent.joinpath(*parts).with_suffix(".py")
    if not path.is_file():
        return {}
    found: dict[str, ast.stmt] = {}
    body = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while body:
        statement = body.pop(0)
        match statement:
            case ast.If():  # of TYPE_CHECKING
                body = [*statement.body, *body]
            case ast.ClassDef() | ast.FunctionDef():
                found[statement.name] = statement
            case ast.ImportFrom() | ast.Import():
                found |= {alias.asname or alias.name: statement for alias in statement.names}
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = statement
    return found


def _class(target: str) -> ast.ClassDef | None:
    module, _, name = target.rpartition(".")
    found = _tree(module).get(name)
    return found if isinstance(found, ast.ClassDef) else None


def _named(module: str, name: str) -> Any:
    """What a name in a module stands for: a class of kd_lab by its dotted name (a str), else a type, else None."""
    match _tree(module).get(name):
        case ast.ClassDef():
            return f"{module}.{name}"
        case ast.ImportFrom(module=str(source), names=names):
            original = next(alias.name for alias in names if (alias.asname or alias.name) == name)
            if source.startswith(_IMPORTED):
                return getattr(import_module(source), original)
            return _named(source, original)
        case ast.Assign(value=value):
            return _type(value, module)
    return None


class _Names(dict[str, Any]):
    """The names that an annotation may use, looked up in the module where it stands."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self.module = module

    def __missing__(self, name: str) -> Any:
        found = _named(self.module, name)
        if isinstance(found, str):
            return type(name, (Made,), {"target": found})
        return getattr(builtins, name, Any) if found is None else found


def _type(annotation: ast.expr, module: str) -> Any:
    code = compile(ast.Expression(annotation), module, "eval")
    # Of our own source, as typing.get_type_hints does.
    return eval(code, {"__builtins__": {}}, _Names(module))  # noqa: S307


def _arguments(function: ast.FunctionDef, module: str) -> dict[str, Option]:
    places, named = function.args.args[1:], function.args.kwonlyargs
    defaults: list[ast.expr | None] = [None] * (len(places) - len(function.args.defaults)) + list(
        function.args.defaults
    )
    pairs = [*zip(places, defaults, strict=True), *zip(named, function.args.kw_defaults, strict=True)]
    return {
        argument.arg: Option(
            _type(argument.annotation, module) if argument.annotation else Any,
            MISSING if default is None else _literal(default),
        )
        for argument, default in pairs
    }


def _fields(node: ast.ClassDef, module: str) -> dict[str, Option]:
    found = {}
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value):
                if not ast.unparse(kind).startswith("ClassVar"):
                    found[name] = Option(_type(kind, module), MISSING if value is None else _literal(value))
    return found


def _literal(value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        return _UNREADABLE


def _called(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)
