"""Refuses options of kd_lab's own that cannot be right, in a config that is plain data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from kd_lab.core import signature, trust
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import PARTS, TARGET, check, check_value, refuse_strange_targets
from kd_lab.core.misfit import short_repr
from kd_lab.core.option_types import PathName, Seed, StudyName, Task

_PLAIN = {  # options that stand in no class's signature: kind, and a value that is right
    "name": (StudyName, "runs"),
    "task": (Task, "multi_class"),
    "recovery": (Literal["student", "teacher"], "student"),
    "seed": (Seed, 0),
}
_PATHS = {"data": "data", "cache": "~/.cache/kd_lab", "weights": "~/.cache/kd_lab_weights", "multirun": "multirun"}
_LISTS = {"compression": "compression=[prune_l1]", "also_on": "also_on=[sst2]"}  # a list of names fills them
_FIT = ("model", "loss", "optimizer", "trainer")  # the parts of a teacher
_TRIAL = "kd_lab.sweeps.search.trial.Trial"
_NEEDED = frozenset({*PARTS, *_PLAIN, "teacher", "search", "paths"})


def settings(given: Mapping[str, Any], needed: Collection[str] = _NEEDED) -> None:
    """Checks a config as plain data, without Hydra's own part.

    Args:
        needed: parts that must be there.

    Raises:
        UserError: an option is unknown or has no right value.
    """
    trust_named(given.get("trust"))
    for key in sorted(needed):
        if key not in given:
            raise UserError(key, expected="an option that every run has", got="none", cure=f"Leave ~{key} out.")
    for key, value in ((key, value) for key, value in given.items() if key != "trust"):
        if key in _PLAIN:
            check_value(value, _PLAIN[key][0], key, _PLAIN[key][1])
        elif key == "paths":
            for name, one in _mapping(value, key, _PATHS).items():
                check_value(one, PathName, f"{key}.{name}", _PATHS[name])
        elif key == "teacher":
            _check_teacher(value, key)
        elif key in _LISTS:
            for name, one in _mapping(value, key).items():
                check(one, f"{key}.{name}")
        elif key == "search":
            _check_search(value)
        elif key in PARTS:
            check(value, key)
        else:
            refuse_strange_targets(value, key)


def trust_named(value: Any) -> None:
    """Trusts, until it is called again, what a config that was composed for this very run says under `trust`.

    Never to be called with what was read from a result.

    Raises:
        UserError: as in `trust.trust_packages`.
    """
    trust.trust_packages(() if value is None else _mapping(value, "trust", ("packages",))["packages"])


def _check_teacher(value: Any, where: str) -> None:
    """A teacher is none, the parts of a fit, an object of its own, or several of these in one."""
    if value is None:
        return
    if not isinstance(value, Mapping) or TARGET not in value:
        path = ("path",) if isinstance(value, Mapping) and "path" in value else ()  # of its model, for short
        for name, one in _mapping(value, where, (*_FIT, "seed", *path)).items():
            if name == "seed":
                check_value(one, Seed, f"{where}.seed", 0)
            elif name == "path":
                check_value(one, PathName, f"{where}.path", "FOLDER")
            else:
                check(one, f"{where}.{name}")
    elif isinstance(value.get("members"), Mapping):
        check({**value, "members": {}}, where)
        for name, one in value["members"].items():
            _check_teacher(one, f"{where}.members.{name}")
    else:
        check(value, where)


def _check_search(value: Any) -> None:
    if value is not None:
        options = signature.options(_TRIAL)
        for name, one in _mapping(value, "search", options).items():
            check_value(one, options[name].kind, f"search.{name}")


def _mapping(value: Any, where: str, names: Collection[str] | None = None) -> Mapping[str, Any]:
    """The value, once it is known to have these names and no others."""
    if not isinstance(value, Mapping):
        cure = f"Leave {where}= out" + (f", or use e.g. {_LISTS[where]}." if where in _LISTS else ".")
        raise UserError(where, expected="options with names", got=short_repr(value), cure=cure)
    for name in value if names is not None else ():
        if name not in (names or ()):
            told = f"one of {', '.join(names or ())}"
            raise UserError(f"{where}.{name}", expected=told, got="an unknown option", cure="Leave it out.")
    for name in names or ():
        if name not in value:
            raise UserError(f"{where}.{name}", expected="a value", got="none", cure=f"Leave ~{where}.{name} out.")
    return value
