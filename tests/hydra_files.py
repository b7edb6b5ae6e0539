"""Hydra composes in two thirds of the time: it parses an unchanged file once, and makes no map that none asks for."""

from __future__ import annotations

import copy
import os
from typing import Any

from hydra._internal import defaults_list
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig


def keep() -> None:
    """From now on in this process; what is composed is the same."""
    # Hydra executes its plug-ins' modules anew when it looks for them: classes that were imported before are others.
    for source in Plugins.instance().discover(ConfigSource):
        if source.__name__ in ("FileConfigSource", "ImportlibResourcesConfigSource"):
            _parse_once(source)
    choices = defaults_list._create_interpolation_map

    def where_one_is_asked(overrides: Any, defaults: Any, self_added: bool) -> DictConfig:
        asked = any(one.is_interpolation() for one in defaults)
        return choices(overrides, defaults, self_added) if asked else DictConfig({})

    defaults_list._create_interpolation_map = where_one_is_asked


def _parse_once(source: Any) -> None:
    parse = source.load_config
    kept: dict[tuple[object, ...], ConfigResult] = {}

    def parsed_once(self: Any, config_path: str) -> ConfigResult:
        file = self._normalize_file_name(config_path)
        key: tuple[object, ...] = (self.path, self.provider, file)
        if self.scheme() == "file":  # the others lie in packages, which stay as they are
            try:
                there = os.stat(os.path.join(self.path, file))
            except OSError:  # which Hydra tells of
                return parse(self, config_path)
            key = (*key, there.st_ino, there.st_mtime_ns, there.st_size)
        if key not in kept:
            kept[key] = parse(self, config_path)
        return copy.deepcopy(kept[key])

    source.load_config = parsed_once
