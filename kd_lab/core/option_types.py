"""What an option may be: types with their ranges, whether a value is one, and how to say so to a user."""

from __future__ import annotations

import codecs
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen


@dataclass(frozen=True)
class Rule:
    """What a text must be beyond a text, in words, and whether it is."""

    words: str
    holds: Callable[[str], bool]


@dataclass(frozen=True)
class HasKey:
    """The key that a mapping must have."""

    key: str


def _is_encoding(text: str) -> bool:
    try:
        return bool(codecs.lookup(text)._is_text_encoding)
    except (LookupError, ValueError):
        return False


def _is_delimiter(text: str) -> bool:
    return text in DELIMITERS or (len(text) == 1 and text.isprintable() and not text.isalnum() and text not in "\"'.-")


def _is_study(text: str) -> bool:
    parts = text.split("/")
    plain = text.isprintable() and "\\" not in text and len(text.encode()) <= 200
    return plain and all(part and part == part.strip() and not part.startswith((".", "~")) for part in parts)


def _is_path(text: str) -> bool:
    parts = text.encode(errors="ignore").split(b"/")
    return bool(text.strip()) and sum(map(len, parts)) <= 3000 and max(map(len, parts)) <= 255


NonEmpty = Annotated[str, MinLen(1), MaxLen(1000)]
PathName = Annotated[str, Rule("a path, each part of it at most 255 bytes long", _is_path)]
Encoding = Annotated[str, Rule("an encoding that Python knows", _is_encoding)]
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t", "\t": "\t"}  # as one may call them
Task = Literal["multi_class", "multi_label"]
Delimiter = Annotated[str, Rule("comma, semicolon, tab, pipe or another letter between fields", _is_delimiter)]
StudyName = Annotated[
    str, Rule("a name such as clinc or clinc/first: no '..', no leading '/' or '.', at most 200 bytes", _is_study)
]
Sha256 = Annotated[str, Rule("64 hexadecimal digits", lambda text: bool(re.fullmatch("[0-9a-f]{64}", text)))]
PackageName = Annotated[str, MaxLen(100), Rule("the name of an installed package", str.isidentifier)]
SplitName = Annotated[str, Rule("train, validation or test", ("train", "validation", "test").__contains__)]
Splits = Annotated[Mapping[SplitName, NonEmpty], HasKey("train")]
Libraries = Annotated[tuple[NonEmpty, ...], MinLen(2)]
Objectives = Annotated[Sequence[Mapping[NonEmpty, Literal["maximize", "minimize"]]], MinLen(1)]
Engine = Literal["x86", "onednn", "fbgemm", "qnnpack"]
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
# The upper ends lie where nobody who means it would come, and below what fills a machine's memory at once.
Count = Annotated[int, Ge(1), Le(1_000_000)]
Rows = Annotated[int, Ge(1)]  # at most so many: any number will do
Number = Annotated[int, Ge(0)]
Pieces = Annotated[int, Ge(0), Le(10_000_000)]
MaxTokens = Annotated[int, Ge(4), Le(1_000_000)]
Threads = Annotated[int, Ge(1), Le(4096)]
Cores = Annotated[float, Gt(0), Le(4096)]
Gpus = Annotated[float, Ge(0), Le(1024)]
Units = Annotated[int, Ge(1), Le(32_768)]
Layers = Annotated[int, Ge(1), Le(256)]
LayerNumbers = Annotated[tuple[Annotated[int, Ge(0), Lt(10_000)], ...], MinLen(1)]
Words = Annotated[int, Ge(1), Le(1000)]  # of a sentence
WordsInARow = Annotated[int, Ge(1), Le(50)]  # that two rows share
NGrams = Annotated[int, Ge(1), Le(5)]
WindowWidths = Annotated[tuple[Annotated[int, Ge(1), Le(100)], ...], MinLen(1)]
Positions = Annotated[int, Ge(1), Le(1_000_000)]
Epochs = Annotated[int, Ge(0), Le(100_000)]
Updates = Annotated[int, Ge(0), Le(1_000_000_000)]
Share = Annotated[float, Ge(0), Le(1)]
ShareKept = Annotated[float, Gt(0), Le(1)]
ShareBelowOne = Annotated[float, Ge(0), Lt(1)]
ShareBetween = Annotated[float, Gt(0), Lt(1)]
LearningRate = Annotated[float, Ge(0)]  # one that is far too high ends soon: its loss is no number
RateShare = Annotated[float, Gt(0), Le(1000)]  # of another learning rate
Temperature = Annotated[float, Gt(0), Le(10_000)]
Penalty = Annotated[float, Gt(0), Le(1_000_000)]
Weight = Annotated[float, Ge(0), Le(1_000_000)]


def split(kind: Any) -> tuple[Any, tuple[Any, ...], bool]:
    """(what it is without its rules and without None, its rules, whether it may be None)."""
    if get_origin(kind) in (Union, types.UnionType):
        (only,) = (part for part in get_args(kind) if part is not type(None))
        bare, rules, _ = split(only)
        return bare, rules, True
    if get_origin(kind) is Annotated:
        bare, more, optional = split(kind.__origin__)
        return bare, (*more, *kind.__metadata__), optional
    return kind, (), kind is type(None)


def fits(value: Any, kind: Any) -> bool:
    """Whether plain data is of that kind; nothing is converted but an int where a float is meant, a list for a tuple.

    Args:
        kind: bool, int, float, str, Any, a Literal, tuple, Sequence or Mapping of these, each perhaps Annotated or
            with None. Whole numbers have 64 bits at most, and no number is infinite or NaN.
    """
    bare, rules, optional = split(kind)
    if value is None:
        return optional or bare is Any
    return _is_a(value, bare) and satisfies(value, rules)


def can_judge(kind: Any, *known: type) -> bool:
    """Whether `fits` knows the kind, as it does all that kd_lab's own constructors have.

    Args:
        known: classes whose subclasses are judged elsewhere.
    """
    if get_origin(kind) in (Union, types.UnionType) and len(set(get_args(kind)) - {type(None)}) > 1:
        return False
    bare = split(kind)[0]
    if get_origin(bare) in (tuple, list, Sequence, Mapping):
        return all(one is ... or can_judge(one, *known) for one in get_args(bare))
    return get_origin(bare) is Literal or bare in _SCALARS or (isinstance(bare, type) and issubclass(bare, known))


def satisfies(value: Any, rules: tuple[Any, ...]) -> bool:
    """Whether a value of the right type lies within the rules of a kind."""
    return all(_RULES[type(rule)](value, rule) for rule in rules)


def describe(kind: Any) -> str:
    """The kind in words, with its range."""
    bare, rules, optional = split(kind)
    return _in_words(bare, rules) + (" or null" if optional else "")


def example(kind: Any) -> str:
    """A value of the kind as one types it."""
    bare, rules, _ = split(kind)
    if get_origin(bare) is Literal:
        return str(get_args(bare)[0])
    if bare in (int, float):
        of_one = any((isinstance(rule, Le) and rule.le == 1) or isinstance(rule, Lt) for rule in rules)
        return "0.5" if bare is float and of_one else str(next((rule.ge for rule in rules if isinstance(rule, Ge)), 1))
    if bare is bool:
        return "true"
    if get_origin(bare) in (tuple, Sequence) and not split(kind)[2]:
        return f"[{example(get_args(bare)[0])}]"
    if get_origin(bare) is Mapping:
        key = next((rule.key for rule in rules if isinstance(rule, HasKey)), example(get_args(bare)[0]))
        return f"{{{key}:{key}}}"
    return "null" if split(kind)[2] else "NAME"


def typed(value: Any) -> str:
    """A plain value as one types it after `option=`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{','.join(map(typed, value))}]"
    return str(value)


def _is_a(value: Any, bare: Any) -> bool:
    origin, inner = get_origin(bare), get_args(bare)
    if bare in _SCALARS:
        return _SCALARS[bare](value)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    return isinstance(value, list | tuple) and _each_fits(value, inner)


def _each_fits(values: Sequence[Any], inner: tuple[Any, ...]) -> bool:
    if len(inner) > 1 and inner[-1] is not ...:
        return len(values) == len(inner) and all(fits(one, kind) for one, kind in zip(values, inner, strict=True))
    return all(fits(one, inner[0]) for one in values)


_SCALARS: dict[Any, Callable[[Any], bool]] = {
    Any: lambda value: True,
    bool: lambda value: isinstance(value, bool),
    int: lambda value: type(value) is int and -(2**63) <= value < 2**63,
    float: lambda value: type(value) in (int, float) and abs(value) <= 1e300,  # which no NaN is
    str: lambda value: isinstance(value, str) and "\0" not in value and value == value.encode(errors="ignore").decode(),
}
_RULES: dict[type, Callable[[Any, Any], bool]] = {
    Ge: lambda value, rule: value >= rule.ge,
    Gt: lambda value, rule: value > rule.gt,
    Le: lambda value, rule: value <= rule.le,
    Lt: lambda value, rule: value < rule.lt,
    MinLen: lambda value, rule: len(value.strip() if isinstance(value, str) else value) >= rule.min_length,
    MaxLen: lambda value, rule: len(value) <= rule.max_length,
    HasKey: lambda value, rule: rule.key in value,
    Rule: lambda value, rule: rule.holds(value),
}


def _in_words(bare: Any, rules: tuple[Any, ...]) -> str:
    origin, inner = get_origin(bare), get_args(bare)
    told = next((rule.words for rule in rules if isinstance(rule, Rule)), None)
    if told:
        return told
    if origin is Literal:
        names = [str(one) for one in inner]
        return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    if origin is Mapping:
        needed = "".join(f", {rule.key} among them" for rule in rules if isinstance(rule, HasKey))
        return f"a mapping from {describe(inner[0])} to {describe(inner[1])}{needed}"
    least = next((rule.min_length for rule in rules if isinstance(rule, MinLen)), 0)
    if inner:
        fixed = len(inner) if len(inner) > 1 and inner[-1] is not ... else 0
        size = f" of {fixed}" if fixed else f" of at least {least}" if least else ""
        return f"a list{size}, each {describe(inner[0])}"
    plain = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}.get(bare, "another value")
    return plain + (" of 1 to 1000 characters" if least else _range(rules))


def _range(rules: tuple[Any, ...]) -> str:
    low = next((f" from {rule.ge:g}" for rule in rules if isinstance(rule, Ge)), "")
    low = low or next((f" above {rule.gt:g}" for rule in rules if isinstance(rule, Gt)), "")
    high = next((f" to {rule.le}" for rule in rules if isinstance(rule, Le)), "")
    return low + (high or next((f" to below {rule.lt}" for rule in rules if isinstance(rule, Lt)), ""))
