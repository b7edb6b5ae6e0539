"""Makes the object that plain settings name in `_target_`, if it is one of kd_lab's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object
from hydra.utils import instantiate as hydra_instantiate

from kd_lab.errors import UserError


def build(settings: Mapping[str, Any], where: str) -> Any:
    """The object, its arguments the other keys, themselves built where they hold a `_target_`.

    Args:
        settings: plain data, interpolations resolved.
        where: the settings' place in the config, for errors.

    Raises:
        UserError: a target is none of kd_lab's classes, or refuses its arguments.
    """
    for target in _targets(settings):
        if not _allowed(target):
            raise UserError(
                f"{where}._target_", expected="a class of kd_lab", got=target, cure="See the options in conf/."
            )
    try:
        return hydra_instantiate(dict(settings), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None:
            if isinstance(cause, UserError):
                raise cause from None
            cause = cause.__cause__
        got = str(error.__cause__ or error)
        cure = f"kd-lab --cfg job --package {where} prints the options."
        raise UserError(where, expected="options of the right names and types", got=got, cure=cure) from error


def _allowed(target: str) -> bool:
    if not target.startswith("kd_lab."):
        return False
    try:
        found = get_object(target)  # also reaches what a module of ours imports: hence the second look
    except (ImportError, AttributeError, ValueError):
        return False
    return isinstance(found, type) and found.__module__.startswith("kd_lab.")


def _targets(settings: Any) -> Iterator[str]:
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key == "_target_":
                yield str(value)
            else:
                yield from _targets(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from _targets(value)
