"""Nested mappings, such as a config or a result, by dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeGuard


def at(tree: Any, path: str) -> Any:
    """The value at a dotted path, or None.

    Args:
        tree: mappings within mappings; the outermost may be a dataclass.
    """
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, Mapping) else getattr(tree, key, None) if is_dataclass(tree) else None
    return tree


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything that is no mapping.

    Args:
        prefix: goes before each name.
    """
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def numbers(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """(dotted name, value) of every number; true and false are none."""
    return ((name, value) for name, value in leaves(tree, prefix) if is_number(value))


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is an int or a float; true and false are neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)
