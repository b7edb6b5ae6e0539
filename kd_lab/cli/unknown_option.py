"""Says of an option that a run does not have where it would have a meaning, and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from kd_lab.core.errors import UserError
from kd_lab.core.paths import root

_CURE = "kd-lab --help lists the groups; kd-lab --cfg job prints every option."


class Chosen(NamedTuple):
    """The option of a group that stands at some place of a config."""

    place: str  # in the config, such as teacher.loss
    group: str  # the folder of conf/
    option: str  # the file in it


def named_in(error: Exception) -> str | None:
    """The option that Hydra complains not to find, or None where it complains of something else."""
    found = re.search(r"Could not override '([^']+)'", " ".join(str(error).split()))
    return found[1] if found else None


def not_in_conf(key: str, cure: str = _CURE) -> UserError:
    """The mistake of giving an option where no group is chosen that might have it."""
    return UserError(f"override {key}", expected="an option that conf/ has", got="an unknown one", cure=cure)


def without(overrides: Sequence[str], key: str) -> list[str]:
    """The overrides that do not set the option."""
    parser = OverridesParser.create()
    return [one for one in overrides if parser.parse_override(one).get_key_element().lstrip("+~") != key]


def chosen(config: DictConfig, key: str) -> Chosen | None:
    """What stands where the option would stand, the innermost; None where no group is chosen there.

    Args:
        config: with Hydra's own.
    """
    found = None
    for choice, option in config.hydra.runtime.choices.items():
        group, _, place = str(choice).lstrip("/").partition("@")
        place = place or group.replace("/", ".")
        if key.startswith(f"{place}.") and option is not None and (not found or len(place) > len(found.place)):
            found = Chosen(place, group, option if isinstance(option, str) else f"[{','.join(option)}]")
    if found is None and key.startswith("compression."):  # of an empty list Hydra notes nothing
        return Chosen("compression", "compression", f"[{','.join(map(str, config.compression))}]")
    return found


def unknown_option(key: str, overrides: Sequence[str], load: Callable[[Sequence[str]], DictConfig]) -> UserError:
    """The mistake of giving the option `key`, with the group that lacks it.

    Args:
        overrides: all that were given.
        load: composes a config, with Hydra's own.
    """
    config = load(without(overrides, key))
    here = chosen(config, key)
    if here is None:
        near = get_close_matches(key, list(map(str, config)), 1)
        return not_in_conf(key, f"Is {near[0]} meant? {_CURE}" if near else _CURE)
    rest = key.removeprefix(f"{here.place}.")
    group = f"{here.group}{'' if here.place == here.group.replace('/', '.') else '@' + here.place}"
    others = [name for name in _options(here.group) if name != here.option and _has(here.group, name, rest)]
    if here.group == "compression":
        others = [f"[{name}]" for name in others]
    place = OmegaConf.select(config, key.rpartition(".")[0])
    names = [str(name) for name in place if name != "_target_"] if isinstance(place, DictConfig) else []
    if near := get_close_matches(key.rpartition(".")[2], names, 1):
        cure = f"Is {key.rpartition('.')[0]}.{near[0]} meant?"
    elif others:
        cure = f"Leave it out, or choose {group}={others[0]}, which has it."
    else:
        cure = f"Leave it out. {_CURE}"
    expected = f"an option that {group}={here.option} has ({', '.join(names) or 'it has no options'})"
    return UserError(f"override {key}", expected=expected, got="an unknown one", cure=cure)


def _options(group: str) -> list[str]:
    return sorted(path.stem for path in (root() / "conf" / group).glob("*.yaml"))


def _has(group: str, option: str, name: str) -> bool:
    """Whether the option's own file, or one in the group that it stands on, sets `name`."""
    path = Path(root() / "conf" / group / f"{option}.yaml")
    if not path.is_file():
        return False
    settings = OmegaConf.load(path)
    assert isinstance(settings, DictConfig)
    parent, _, last = name.rpartition(".")
    node = OmegaConf.select(settings, parent) if parent else settings
    if isinstance(node, DictConfig) and last in node:
        return True
    return any(
        _has(group, one, name) for one in settings.get("defaults", []) if isinstance(one, str) and one != "_self_"
    )
