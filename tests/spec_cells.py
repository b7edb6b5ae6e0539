"""What the cells of a spec are called: its axes, read as the sweep reads them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from kd_lab.cli.compose import CONF, compose, register
from kd_lab.pipeline.run import resolved_config
from kd_lab.sweeps.search.space import read


@cache
def axes(name: str) -> Sequence[Override]:
    """The axes of a spec."""
    register()
    with initialize_config_dir(CONF, version_base="1.3"):
        params = hydra_compose("config", [f"experiments={name}"], return_hydra_config=True).hydra.sweeper.params
    found: list[Override] = OverridesParser.create().parse_overrides(
        [f"{key}={value}" for key, value in params.items()]
    )
    return found


def seeds(name: str) -> Sequence[int]:
    """The values of its axis `seed`; 0, the default, where it has none."""
    return next(([int(one) for one in axis.sweep_string_iterator()] for axis in axes(name) if _is_seed(axis)), [0])


def choices(name: str) -> Sequence[Sequence[str]]:
    """The overrides of each cell of one seed; of a search those of a few, which show each choice and both ends."""
    found = [axis for axis in axes(name) if not _is_seed(axis)]
    if not all(axis.is_discrete_sweep() for axis in found):
        return read(found).examples()
    return list(
        itertools.product(*([f"{one.get_key_element()}={it}" for it in one.sweep_string_iterator()] for one in found))
    )


@cache
def configs(name: str) -> Sequence[tuple[Sequence[str], Mapping[str, Any]]]:
    """(overrides, config) of each of `choices`; one choice of groups is composed once, and then given its values."""
    composed: dict[tuple[str, ...], Any] = {}
    found = []
    for choice in choices(name):
        groups = tuple(one for one in choice if Path(CONF, one.partition("=")[0].partition("@")[0]).is_dir())
        if groups not in composed:
            composed[groups] = compose([f"experiments={name}", *groups])
        config = copy.deepcopy(composed[groups])
        values = OverridesParser.create().parse_overrides([one for one in choice if one not in groups])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        found.append((choice, resolved_config(config)))
    return found


def _is_seed(axis: Override) -> bool:
    return axis.get_key_element() == "seed"
