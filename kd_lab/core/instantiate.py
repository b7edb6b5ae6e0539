"""Makes the object that plain settings name in `_target_`, if it is kd_lab's or trusted, and its options are right.

A constructor's signature is the schema of its options: `check` holds settings against it without importing the class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple, get_args, get_origin

from kd_lab.core import signature, trust
from kd_lab.core.errors import UserError
from kd_lab.core.misfit import misfit, short_repr
from kd_lab.core.option_types import describe, example, fits, satisfies, split
from kd_lab.core.signature import MISSING, Made

TARGET = "_target_"
_OF_TEACHER = re.compile(r"^teacher(\.members\.[^.]+)*\.(?=model|loss|optimizer|trainer)")


class Part(NamedTuple):
    """What may stand at a place of the config: a class that has all these members."""

    words: str
    members: frozenset[str]

    @classmethod
    def having(cls, words: str, members: str) -> Part:
        """The same from names with spaces between them."""
        return cls(words, frozenset(members.split()))


_DATA_SET = Part.having("a data set", "name fingerprint_parts load")
PARTS = {  # place in the config, a teacher's too -> what may stand there
    "dataset": _DATA_SET,
    "teacher": Part.having("a teacher", "name fingerprint_parts"),
    "tokenizer": Part.having("a tokenizer", "max_tokens of"),
    "model": Part.having("a model", "name kind starts_from_teacher build"),
    "loss": Part.having("a loss", "forward needs returns check"),
    "optimizer": Part.having("an optimizer", "scaled build factor"),
    "trainer": Part.having("a trainer", "max_epochs batch_size resolve_device_and_precision"),
    "compression": Part.having("a step of compression", "check apply"),
    "evaluation": Part.having("an evaluation", "cost requests rounds"),
    "also_on": _DATA_SET,
    "tracking": Part.having("a way of tracking", "begin mirror missing mirror_study"),
}


def build(settings: Mapping[str, Any], where: str) -> Any:
    """The object, its arguments the other keys, themselves built where they hold a `_target_`.

    Args:
        settings: plain data, interpolations resolved.
        where: the settings' place in the config, for errors and for what may stand there.

    Raises:
        UserError: a target is neither kd_lab's class nor one of a package that `trust` holds, or none for this place,
            or an option has no right value.
    """
    check(settings, where)
    return _made(settings)


def check(settings: Any, where: str) -> None:
    """Refuses what `build` would refuse, but for what a constructor finds out by itself; imports nothing of size.

    Raises:
        UserError: as in `build`.
    """
    refuse_strange_targets(settings, where)
    named = _OF_TEACHER.sub("", where).partition(".")[0]
    _check_object(settings, where, PARTS.get(named))


def check_value(value: Any, kind: Any, where: str, default: Any = MISSING) -> None:
    """Refuses a value of another kind than an option has.

    Args:
        kind: see `option_types.fits`; also a `Made`, a mapping to one, or either with None.
        where: the option as one types it.
        default: a value that is right, for the cure.

    Raises:
        UserError: naming the option, its kind and range, and a value to give.
    """
    bare, rules, optional = split(kind)
    if value is None and optional:
        return
    if isinstance(bare, type) and issubclass(bare, Made):
        _check_object(value, where, bare)
        return
    if get_origin(bare) is Mapping and isinstance(value, Mapping):
        of_name, of_value = get_args(bare)
        for name, one in value.items():
            if fits(name, of_name):  # else the mapping as a whole is not right
                check_value(one, of_value, f"{where}.{name}")
        if all(fits(name, of_name) for name in value) and satisfies(value, rules):
            return
    elif fits(value, kind):
        if strange := next(targets(value, where), None):
            cure = "Leave it out, or annotate the option with the class that it takes."
            raise UserError(f"{strange[0]}.{TARGET}", expected="plain data here", got=_named(strange[1]), cure=cure)
        return
    raise misfit(value, kind, where, default)


def refuse_strange_targets(settings: Any, where: str) -> None:
    """Refuses a `_target_` at any depth that is no class of kd_lab or of a package that is trusted.

    Raises:
        UserError: naming its place.
    """
    for place, target in targets(settings, where):
        if not isinstance(target, str) or not signature.exists(target) or not _may_be_named(target, where):
            expected = f"a class of {' or '.join(('kd_lab', *trust.names()))}"
            raise UserError(f"{place}.{TARGET}", expected=expected, got=_named(target), cure=trust.cure(target))


def targets(settings: Any, where: str) -> Iterator[tuple[str, Any]]:
    """(place, target) of every mapping with a `_target_`, at any depth, those that are within another too."""
    if isinstance(settings, Mapping):
        if TARGET in settings:
            yield where, settings[TARGET]
        for key, value in settings.items():
            if key != TARGET or not isinstance(value, str):
                yield from targets(value, f"{where}.{key}" if where else str(key))
    elif isinstance(settings, list | tuple):
        for number, value in enumerate(settings):
            yield from targets(value, f"{where}.{number}")


def _may_be_named(target: str, where: str) -> bool:
    if where.startswith("hydra."):
        return target.startswith("hydra_plugins.")
    return target.startswith("kd_lab.") or trust.is_trusted(target)


def _check_object(settings: Any, where: str, expected: Part | type[Made] | None) -> None:
    words = _words(expected)
    if not isinstance(settings, Mapping) or TARGET not in settings:
        cure = f"Leave out what sets it; kd-lab --cfg job --package {where} prints its options."
        raise UserError(where, expected=f"the options of {words}", got=short_repr(settings), cure=cure)
    target = settings[TARGET]
    if not _may_stand(target, expected):
        cure = f"Leave {where}.{TARGET} out: conf/ names the classes that there are."
        got = _named(target)
        if trust.is_trusted(target):
            cure, got = "CONTRIBUTING.md has an example of each kind.", f"{got}, {_lacks(target, expected)}"
        raise UserError(f"{where}.{TARGET}", expected=words, got=got, cure=cure)
    options = signature.options(target)
    for name, value in settings.items():
        if name == TARGET:
            continue
        if name not in options:
            cure = f"Leave it out, or see kd-lab --cfg job --package {where}."
            told = f"an option of {target.rpartition('.')[2]}: {', '.join(options) or 'it has none'}"
            raise UserError(f"{where}.{name}", expected=told, got="an unknown one", cure=cure)
        check_value(value, options[name].kind, f"{where}.{name}", options[name].plain_default)
    for name, option in options.items():
        if option.default is MISSING and name not in settings:
            told = example(option.kind)
            raise UserError(
                f"{where}.{name}",
                expected=describe(option.kind),
                got="none",
                cure=f"Give it, e.g. +{where}.{name}={told}.",
            )


def _may_stand(target: str, expected: Part | type[Made] | None) -> bool:
    if isinstance(expected, Part):
        return expected.members <= signature.members(target)
    return expected is None or expected.target in signature.lineage(target)


def _lacks(target: str, expected: Part | type[Made] | None) -> str:
    if isinstance(expected, Part):
        return f"which has no {', '.join(sorted(expected.members - signature.members(target)))}"
    return "which is none"


def _words(expected: Part | type[Made] | None) -> str:
    if isinstance(expected, Part):
        return expected.words
    return "an object of kd_lab" if expected is None else f"a {expected.target}"


def _made(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        made = {key: _made(value) for key, value in settings.items() if key != TARGET}
        if TARGET not in settings:
            return made
        return _class(settings[TARGET])(**made)
    return [_made(value) for value in settings] if isinstance(settings, list | tuple) else settings


def _class(target: str) -> Any:
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except Exception as error:
        if not trust.is_trusted(target):
            raise
        got = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        raise UserError(target, expected="a module that can be imported", got=got, cure="Mend it.") from error
    if not isinstance(found, type) or f"{found.__module__}.{found.__qualname__}" != target:
        cure = "Name the class where it is defined, and leave decorators out that put something else in its place."
        raise UserError(target, expected="the class that its file defines", got=repr(found)[:100], cure=cure)
    return found


def _named(target: Any) -> str:
    return target[:200] if isinstance(target, str) else short_repr(target)
