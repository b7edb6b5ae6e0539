"""Reads what a class takes out of its source, without importing it: torch alone takes seconds to import.

Of classes of kd_lab, and of the packages that are trusted.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from kd_lab.core import trust
from kd_lab.core.code_hash import absolute
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import can_judge

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
    return dict(_options_of_ours(target)) if target.startswith(_OURS) else _options(target)


@cache
def _options_of_ours(target: str) -> dict[str, Option]:
    """Read once: our own source stays as it is, and whom a user trusts has no part in it."""
    return _options(target)


def _options(target: str) -> dict[str, Option]:
    module = target.rpartition(".")[0]
    node = _class(target)
    assert node is not None, target
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            return _arguments(statement, module)
    found = {name: one for base in _bases(target) for name, one in options(base).items()}
    if any(_called(decorator) in ("dataclass", "dataclasses.dataclass") for decorator in node.decorator_list):
        found |= _fields(node, module)
    return found


def members(target: str) -> set[str]:
    """Names of the methods, properties and fields of a class that `exists`, its bases' included."""
    found: set[str] = set()
    for one in lineage(target):
        for statement in (_class(one) or ast.ClassDef("", [], [], [], [])).body:
            match statement:
                case ast.FunctionDef(name=name):
                    found.add(name)
                    if name == "__init__":
                        found |= _given_to_self(statement)
                case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                    found.add(name)
    return found


def _given_to_self(function: ast.FunctionDef) -> set[str]:
    """The attributes that a constructor sets."""
    attributes = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
    own = [one for one in attributes if isinstance(one.value, ast.Name) and one.value.id == "self"]
    return {one.attr for one in own if isinstance(one.ctx, ast.Store)}


def lineage(target: str) -> Iterator[str]:
    """The class and those of kd_lab that it stands on."""
    yield target
    for base in _bases(target):
        yield from lineage(base)


def _bases(target: str) -> list[str]:
    node, module = _class(target), target.rpartition(".")[0]
    found = [_named(module, ast.unparse(base)) for base in (node.bases if node else [])]
    return [one for one in found if isinstance(one, str)]


def _tree(module: str) -> dict[str, ast.stmt]:
    """Names that a module of kd_lab, or of a trusted package, defines or imports -> the statement that does."""
    parts = module.split(".")
    if not all(part.isidentifier() for part in parts):
        return {}
    if f"{module}.".startswith(_OURS):
        return _parsed(_PACKAGE.parent.joinpath(*parts).with_suffix(".py"))
    return _parsed(trust.file_of(module)) if trust.is_trusted(module) else {}


@cache
def _parsed(path: Path) -> dict[str, ast.stmt]:
    """Empty where there is no such file.

    Raises:
        UserError: it is no Python, as a user's own may be.
    """
    if not path.is_file():
        return {}
    try:
        body = list(ast.parse(path.read_bytes()).body)
    except (SyntaxError, ValueError) as error:
        got = " ".join(str(error).split())[:300]
        raise UserError(str(path), expected="Python", got=got, cure="Mend the file.") from error
    found: dict[str, ast.stmt] = {}
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
        case ast.ImportFrom(names=names) as statement:
            source = absolute(
                statement, module, trust.is_trusted(module) and trust.file_of(module).name == "__init__.py"
            )
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
        if found is None:
            found = getattr(builtins, name, Any)
            return found if isinstance(found, type) or found is None else Any
        return found


def _type(annotation: ast.expr, module: str) -> Any:
    try:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        code = compile(ast.Expression(annotation), module, "eval")
        # Of our own source, or of one that is trusted, as typing.get_type_hints does.
        found = eval(code, {"__builtins__": {}}, _Names(module))  # noqa: S307
        return found if not trust.is_trusted(module) or can_judge(found, Made) else Any
    except Exception:
        if trust.is_trusted(module):  # it says what kd_lab does not know: any plain value will do
            return Any
        raise


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
