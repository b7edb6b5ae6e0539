"""Whether what a config says fits the signatures of the classes that it names."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.utils import get_object


def targets(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping with a `_target_`, inner ones too."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from targets(value)


def options(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in ("_target_", "defaults")}


def assert_binds(settings: Mapping[str, Any]) -> None:
    kind = get_object(settings["_target_"])
    assert isinstance(kind, type)
    signature = inspect.signature(kind)
    signature.bind(**options(settings))
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}, f"{kind} takes anything"
