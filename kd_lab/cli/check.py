"""Refuses a run whose options cannot be right: before anything is made, and before torch is imported."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_automatic_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from kd_lab.cli.check_settings import settings
from kd_lab.cli.compose import CONF, MISTAKES, SEVERAL_DEVICES, mistake
from kd_lab.cli.method_override import check_method
from kd_lab.cli.run_place import check_folder, check_sweep_folder
from kd_lab.cli.unknown_option import named_in, unknown_option
from kd_lab.core import signature
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import TARGET, check, targets
from kd_lab.core.moved import with_current_names

_PLUGINS = ("hydra_plugins.", "hydra._internal.core_plugins.")
_MADE_BY_HYDRA = ("callbacks", "hydra_logging", "job_logging", "launcher", "sweeper")


def command(arguments: Sequence[str]) -> Path | None:
    """Checks what the command line asks for; of a sweep what all its cells share, the rest is for its sweeper.

    Returns:
        the folder of a single run; None of anything else.

    Raises:
        UserError: an option is unknown or has no right value, or something would be made where it must not be.
    """
    for argument in arguments:
        if (not argument.isprintable() and argument != argument.encode(errors="ignore").decode()) or "\0" in argument:
            cure = "Type the override anew."
            raise UserError("overrides", expected="text in UTF-8 without NUL", got=ascii(argument)[:200], cure=cure)
    parser = get_args_parser()
    parser.error = _refuse_flags
    asked = parser.parse_args(list(arguments))
    if asked.experimental_rerun is not None:
        cure = "Give the same overrides again: what has finished is not run again."
        raise UserError(
            "--experimental-rerun", expected="no such flag", got="a pickle, which could run code", cure=cure
        )
    if asked.help or asked.hydra_help or asked.cfg or asked.info or asked.shell_completion:
        return None
    try:
        config = _loaded(asked)
    except MISTAKES as error:
        raise _mistake(error, asked) from error
    check_method(asked.overrides)
    try:
        _check_made_by_hydra(config.hydra)
        if not asked.multirun and config.hydra.mode != RunMode.MULTIRUN:
            if not axes_of(asked.overrides):  # else Hydra says what to do instead
                cell(config, Path(str(config.hydra.run.dir)))
            return Path(str(config.hydra.run.dir))
        axes = [*axes_of(asked.overrides), *map(str, config.hydra.sweeper.get("params") or {})]
        if place := next((key for key in axes if key in ("name", "experiments", "paths.multirun")), None):
            cure = "Type the line once for each."
            raise UserError(place, expected="one study for all cells of a sweep", got="an axis", cure=cure)
        swept = {key.partition(".")[0] for key in axes}
        if "trust" in swept:
            cure = "Give them once, e.g. trust.packages=[my_package,another]."
            raise UserError("trust.packages", expected="the same for all cells", got="an axis", cure=cure)
        settings(dict(_known(config, swept)), needed=())
        check_sweep_folder(Path(str(config.hydra.sweep.dir)), str(config.paths.multirun), str(config.name))
    except MISTAKES as error:
        raise mistake(error) from error
    return None


def cell(config: DictConfig, folder: Path) -> None:
    """Checks the whole config of one cell.

    Args:
        folder: the cell's own.

    Raises:
        UserError: as in `command`.
        OmegaConfBaseException: a value is missing, or an interpolation leads nowhere.
    """
    parts = {key: _plain(config, key, whole=True) for key in map(str, config) if key != "hydra"}
    settings(parts)
    subdir = config.hydra.output_subdir
    if subdir is not None and (Path(subdir).is_absolute() or ".." in Path(subdir).parts):
        cure = "Leave it out."
        raise UserError("hydra.output_subdir", expected="a folder within the run's", got=repr(subdir), cure=cure)
    check_folder(folder, str(config.paths.multirun))


def _check_made_by_hydra(config: DictConfig) -> None:
    """Refuses, in what Hydra itself would make objects from, all but its own plug-ins at their place."""
    for part in _MADE_BY_HYDRA:
        found = _plain(config, part)
        for place, target in targets(found, f"hydra.{part}"):
            own = place in ("hydra.launcher", "hydra.sweeper")
            if not own or not isinstance(target, str) or not target.startswith(_PLUGINS) or not _is_plugin(target):
                expected = f"an option of hydra/{part}" if own else "no object"
                cure = f"Leave it out; hydra/{part}=NAME chooses one." if own else "Leave it out."
                raise UserError(f"{place}.{TARGET}", expected=expected, got=str(target)[:200], cure=cure)
        ours = part in ("launcher", "sweeper") and signature.exists(found[TARGET])
        if ours and signature.options(found[TARGET]):  # of others' plug-ins Hydra knows the types
            check(found, f"hydra.{part}")
        for place, key, value in _entries(found, f"hydra.{part}"):
            strange = key == "()" or (
                part.endswith("logging") and key == "class" and not str(value).startswith("logging.")
            )
            if strange or key in ("_args_", "_partial_"):
                raise UserError(f"{place}.{key}", expected="no such entry", got=str(value)[:200], cure="Leave it out.")


def _is_plugin(target: str) -> bool:
    from hydra.core.plugins import Plugins

    return target in Plugins.instance().class_name_to_class


def _entries(settings: Any, where: str) -> Iterator[tuple[str, str, Any]]:
    for key, value in settings.items() if isinstance(settings, Mapping) else enumerate(settings):
        yield where, str(key), value
        if isinstance(value, Mapping | list):
            yield from _entries(value, f"{where}.{key}")


def _refuse_flags(message: str) -> NoReturn:
    cure = "Flags such as -m stand before or after all overrides, not between them; kd-lab --help."
    raise UserError("command line", expected="flags that Hydra has, then overrides", got=message, cure=cure)


def _mistake(error: Exception, asked: argparse.Namespace) -> UserError:
    """Hydra's complaint as one line, with the group that lacks an option."""
    key = named_in(error)
    if key is not None and key not in SEVERAL_DEVICES:
        try:
            return unknown_option(key, asked.overrides, lambda left: _loaded(asked, left))
        except MISTAKES:  # more than one is unknown
            return mistake(error)
    if "Config group override must be" in str(error):
        for one in OverridesParser.create().parse_overrides(asked.overrides):
            if not one.is_sweep_override() and not isinstance(one.value(), str | list) and "." not in one.key_or_group:
                got = f"{one.value()!r}" if one.value() is not None else "null"
                cure = f"Choose by name; {one.key_or_group}=[] chooses none."
                return UserError(
                    f"override {one.key_or_group}", expected="a name or a list of names", got=got, cure=cure
                )
    return mistake(error)


def _loaded(asked: argparse.Namespace, overrides: Sequence[str] | None = None) -> DictConfig:
    """The config that a sweep's cells share, and that a single run has, with Hydra's own."""
    setup_globals()
    path = create_automatic_config_search_path(None, None, asked.config_path or CONF)
    if asked.config_dir is not None:
        path.prepend("command-line", f"file://{os.path.abspath(asked.config_dir)}", SearchPathQuery(provider="schema"))
    given = list(asked.overrides if overrides is None else overrides)
    config: DictConfig = ConfigLoaderImpl(path).load_configuration(
        asked.config_name or "config", given, RunMode.MULTIRUN, validate_sweep_overrides=False
    )
    return config


def axes_of(overrides: Sequence[str]) -> list[str]:
    """The options that a line sweeps over."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [one.get_key_element().lstrip("+~") for one in parsed if one.is_sweep_override()]


def _known(config: DictConfig, swept: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Those parts of a sweep's config that do not wait for a cell's own values."""
    waiting = {*swept, "hydra", *(("loss", "compression") if "method" in swept else ())}
    for key in map(str, config):
        try:
            if key not in waiting:
                yield key, _plain(config, key, whole=True)
        except OmegaConfBaseException:  # an axis will give the value, or the cell will be refused
            continue


def _plain(config: DictConfig, key: str, *, whole: bool = False) -> Any:
    value = OmegaConf.select(config, key, throw_on_missing=whole)
    if not isinstance(value, DictConfig | ListConfig):
        return value
    return with_current_names(OmegaConf.to_container(value, resolve=True, throw_on_missing=whole), tell=True)
