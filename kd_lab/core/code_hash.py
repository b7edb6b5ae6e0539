"""A hash of the code that makes an artifact: of the files it lies in and all of kd_lab that they import, and no other.

Files of packages that are trusted count as kd_lab's do, each with the `__init__` files that are run before it. So a
new loss beside the others renames nothing, and mended inference renames what it has made. Blind to comments, docstrings
and layout, and the same in every Python: what is hashed are the fields of the syntax tree that all have.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from kd_lab.core import trust

PACKAGE = Path(__file__).parents[1]
SILENT = frozenset(  # where artifacts lie, what is refused and what is said: no artifact's content depends on it
    f"kd_lab.{name}"
    for name in (
        *("core.cache", "core.cache_check", "core.cache_entry", "core.cache_folder", "core.cache_lock", "core.drafts"),
        *("core.errors", "core.misfit", "core.option_types"),
        *("core.progress", "core.reading", "core.redact", "core.safe_path"),
        *("core.as_typed", "core.formats", "core.moved", "core.trust"),  # what things are called
        *("core.code_hash", "data.hub_revision"),  # what names are made of
    )
)
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_NOT_IN_ALL = ("ctx", "kind", "type_comment", "type_ignores", "type_params")  # fields that say nothing, or some lack


def code_hash(*made_by: Any) -> str:
    """Hash of the code, 16 hex digits.

    Args:
        made_by: names of modules, such as `kd_lab.training.fit`, and objects: of each the class counts, and those of
            what its name is made of, see `cache.describe`.
    """
    roots: set[str] = set()
    for one in made_by:
        roots.update([one] if isinstance(one, str) else _modules_of(one))
    return _hash(closure(frozenset(roots)))


def file_alone_hash(*modules: str) -> str:
    """Hash of the code of these modules, 16 hex digits, whatever they import."""
    return _hash(frozenset(modules))


def closure(modules: frozenset[str]) -> frozenset[str]:
    """The modules of kd_lab that are run when these are: they, and all that they import, anywhere in their code."""
    return _closure(modules, trust.names())


def absolute(statement: ast.ImportFrom, module: str, package: bool) -> str:
    """The module that a statement imports from, where it says so with dots too; "" where the dots lead out.

    Args:
        module: where the statement stands.
        package: whether that is a package's `__init__`.
    """
    try:
        dotted = "." * statement.level + (statement.module or "")
        return resolve_name(dotted, module if package else module.rpartition(".")[0])
    except ImportError:
        return ""


@cache
def _closure(modules: frozenset[str], trusted: tuple[str, ...]) -> frozenset[str]:
    found: set[str] = set()
    to_do = set(modules)
    while to_do:
        module = to_do.pop()
        found.add(module)
        to_do |= _imported(module, trusted) - found - SILENT
    return frozenset(found)


@cache
def _hash(modules: frozenset[str]) -> str:
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(f"{module}\0{_read(module)[0]}\0".encode())
    return digest.hexdigest()[:16]


def _modules_of(value: Any) -> Iterator[str]:
    """The modules of kd_lab that an object's class and those of its parts lie in."""
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _modules_of(item)
    elif _is_ours(type(value).__module__):
        yield type(value).__module__
        if hasattr(value, "fingerprint_parts"):
            yield from _modules_of(value.fingerprint_parts())
        else:
            names = inspect.signature(type(value)).parameters
            yield from _modules_of([getattr(value, name, None) for name in names])


def _file(module: str) -> Path:
    """The file of a module, whether or not it is there."""
    if trust.is_trusted(module):
        return trust.file_of(module)
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _imported(module: str, trusted: tuple[str, ...]) -> frozenset[str]:
    """The modules of kd_lab, and of what is trusted, that a module imports; not what only a type checker sees."""
    found: set[str] = set()
    for node in _read(module)[1]:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            source = absolute(node, module, _file(module).name == "__init__.py")
            inner = {f"{source}.{alias.name}" for alias in node.names}
            modules = {name for name in inner if _is_ours(name) and _file(name).is_file()}
            found |= modules | ({source} if inner - modules else set())
    if trust.is_trusted(module):
        parts = module.split(".")
        found |= {".".join(parts[:depth]) for depth in range(1, len(parts))}
        # A compiled one has no file.
        found = {name for name in found if not trust.is_trusted(name) or _file(name).is_file()}
    return frozenset(filter(_is_ours, found))


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PACKAGE.name or trust.is_trusted(module)


@cache
def _read(module: str) -> tuple[str, list[ast.Import | ast.ImportFrom]]:
    """What the code of a module does, without what it says of it, and its imports."""
    told: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []
    _tell(ast.parse(_file(module).read_text(encoding="utf-8")), told, imports)
    return "".join(told), imports


def _tell(value: Any, told: list[str], imports: list[ast.Import | ast.ImportFrom]) -> None:
    if isinstance(value, ast.AST):
        if isinstance(value, ast.Import | ast.ImportFrom):
            imports.append(value)
        elif isinstance(value, ast.If) and isinstance(value.test, ast.Name) and value.test.id == "TYPE_CHECKING":
            imports = []  # not run
        told += (type(value).__name__, "(")
        for name in _fields(type(value).__name__):
            field = getattr(value, name, None)
            if name == "body" and isinstance(value, _DOCUMENTED) and ast.get_docstring(value, clean=False) is not None:
                field = value.body[1:]
            elif isinstance(value, ast.JoinedStr):  # Python 3.12 has empty ones in it that others lack
                field = [part for part in value.values if not (isinstance(part, ast.Constant) and part.value == "")]
            _tell(field, told, imports)
        told.append(")")
    elif isinstance(value, list):
        told.append("[")
        for item in value:
            _tell(item, told, imports)
        told.append("]")
    else:
        told += (repr(value), ",")


@cache
def _fields(node: str) -> tuple[str, ...]:
    return tuple(name for name in getattr(ast, node)._fields if name not in _NOT_IN_ALL)
