"""Which packages of a user's own `_target_` may name: those that the command line trusts, and no others.

A result, a saved model or any other file is never asked: who could write it could name what it likes.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kd_lab.core.errors import UserError

_OURS = ("kd_lab", "hydra_plugins")
_folders: dict[str, Path] = {}  # what this process trusts: a package's name -> where it lies


def trust_packages(packages: Any, where: str = "trust.packages") -> None:
    """From here on this process trusts these packages, and no others; none of them is imported.

    Args:
        packages: names, each of a folder with an `__init__.py` that Python would import.
        where: the option that names them.

    Raises:
        UserError: one is none of a user's own, or not there.
    """
    _folders.clear()
    if not isinstance(packages, list | tuple):
        cure = "Use e.g. trust.packages=[my_package], or leave it out."
        raise UserError(where, expected="a list of names of packages", got=repr(packages)[:100], cure=cure)
    _folders.update({name: _folder(name, where) for name in packages})


def names() -> tuple[str, ...]:
    """The packages that are trusted, in order."""
    return tuple(sorted(_folders))


def folders() -> tuple[Path, ...]:
    """Where they lie, in the same order."""
    return tuple(_folders[name] for name in names())


def is_trusted(name: str) -> bool:
    """Whether a dotted name is of a trusted package."""
    return name.partition(".")[0] in _folders


def file_of(module: str) -> Path:
    """The file of a module of a trusted package, whether or not it is there."""
    package, *parts = module.split(".")
    path = _folders[package].joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def cure(target: Any) -> str:
    """How to have a class of one's own, for an error that refuses it; no word of trust where that could not help."""
    package = target.partition(".")[0] if isinstance(target, str) and "." in target else ""
    if package in _folders:
        return f"Name it by the file that defines it: {package}.FILE.CLASS."
    if not package.isidentifier() or package in (*_OURS, *sys.stdlib_module_names):
        return "See the options in conf/."
    told = f"trust.packages=[{package}] (kd-lab report: --trust {package})"
    return f"See the options in conf/. If you wrote it yourself, trust its package: {told}."


def _folder(name: Any, where: str) -> Path:
    expected = "a package of your own that Python can import, by its name without dots"
    again = "Name the folder that holds your classes, e.g. trust.packages=[my_package]."
    if not isinstance(name, str) or not name.isidentifier():
        raise UserError(where, expected=expected, got=repr(name)[:100], cure=again)
    if name in _OURS or name in sys.stdlib_module_names:
        whose = "kd_lab's own, which needs no trust" if name in _OURS else "a part of Python"
        raise UserError(where, expected=expected, got=f"{name}, {whose}", cure=again)
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        cure = "Install it (pip install -e .), or name the folder that holds it in PYTHONPATH, as an absolute path."
        raise UserError(where, expected=expected, got=f"{name}, which is not found", cure=cure)
    if spec.submodule_search_locations is None or spec.origin is None or Path(spec.origin).name != "__init__.py":
        got = f"{name}, which is no folder with an __init__.py"
        raise UserError(where, expected=expected, got=got, cure="Put your files into such a folder.")
    return Path(spec.origin).parent
