"""Which of a fitted teacher's classes is which of the data's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kd_lab.core.errors import UserError

_NUMBERED = re.compile(r"(?:LABEL_|label_)?\d+")
_SHOWN = 8  # classes that a message names


class Match(NamedTuple):
    """For each class of the data the teacher's, and what a user should be told of it."""

    order: tuple[int, ...]  # (C,) the teacher's class by number
    told: str


def match(theirs: Sequence[str], ours: Sequence[str], given: Mapping[str, str] | None, where: str) -> Match:
    """Matches classes by what the user says, else by name, else, where the teacher's are but numbers, by position.

    Args:
        theirs: the teacher's names, by class.
        ours: the data's names, by class.
        given: a teacher's name -> the data's; the teacher's other classes are dropped, its probabilities renormalised.
        where: the option that names the teacher.

    Raises:
        UserError: a class has no partner, or two.
    """
    if given is not None:
        return _as_given(theirs, ours, given)
    if set(theirs) == set(ours) and len(theirs) == len(ours):
        return _match(theirs, ours, tuple(theirs), "by name")
    plain_theirs, plain_ours = [_plain(name) for name in theirs], [_plain(name) for name in ours]
    if sorted(plain_theirs) == sorted(plain_ours) and len(set(plain_ours)) == len(ours):
        return _match(plain_theirs, plain_ours, theirs, "by name but for case and blanks", ours)
    if len(theirs) == len(ours) and all(map(_NUMBERED.fullmatch, theirs)):
        return _match(range(len(theirs)), range(len(ours)), theirs, "by position, as its classes are but numbers", ours)
    raise UserError(
        where,
        expected=f"a teacher of the data's {len(ours)} classes ({_some(ours, theirs)})",
        got=f"one of {len(theirs)} ({_some(theirs, ours)})",
        cure="Say which is which, each of the data's once; the teacher's others are dropped: "
        f'"teacher.labels={{{_quoted(theirs[0])}: {_quoted(ours[0])}, ...}}".',
    )


def _as_given(theirs: Sequence[str], ours: Sequence[str], given: Mapping[str, str]) -> Match:
    for name, known, whose in ((name, theirs, "teacher") for name in given):
        _refuse_unknown(name, known, whose)
    for name in given.values():
        _refuse_unknown(name, ours, "data")
    partner: dict[str, str] = {}
    for their, our in given.items():
        if our in partner:
            got = f"{partner[our]!r} and {their!r} for {our!r}"
            raise UserError(
                "teacher.labels", expected="one class of the teacher for each", got=got, cure="Leave one out."
            )
        partner[our] = their
    if lacking := [name for name in ours if name not in partner]:
        cure = "Add them, or leave their rows out of the data."
        got = f"none for {', '.join(map(repr, lacking[:_SHOWN]))}"
        raise UserError("teacher.labels", expected="a class of the teacher for each of the data's", got=got, cure=cure)
    dropped = [name for name in theirs if name not in given]
    told = f"as teacher.labels says{f', without its {_some(dropped, ())}' if dropped else ''}"
    return Match(tuple(theirs.index(partner[name]) for name in ours), told)


def _refuse_unknown(name: str, known: Sequence[str], whose: str) -> None:
    if name not in known:
        expected = f"classes of the {whose} ({', '.join(known[:_SHOWN])}{', ...' if len(known) > _SHOWN else ''})"
        raise UserError("teacher.labels", expected=expected, got=repr(name), cure="Name it as it is called there.")


def _match(
    theirs: Sequence[object], ours: Sequence[object], names: Sequence[str], how: str, named: Sequence[str] = ()
) -> Match:
    place = {name: number for number, name in enumerate(theirs)}
    order = tuple(place[name] for name in ours)
    pairs = [f"{names[their]} = {named[our]}" for our, their in enumerate(order)] if named else []
    return Match(order, f"{how}{': ' + _listed(pairs) if pairs else ''}")


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip()).casefold()


def _some(names: Sequence[str], others: Sequence[str]) -> str:
    """Some of the names, those that the others lack first."""
    return _listed([*(name for name in names if name not in others), *(name for name in names if name in others)])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f"'{name}'"
