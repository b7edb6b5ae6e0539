"""Composes configs from conf/ and experiments/, and turns Hydra's complaints into one clear line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from kd_lab.cli import path_override
from kd_lab.cli.unknown_option import named_in, not_in_conf
from kd_lab.core.errors import UserError
from kd_lab.core.paths import default_data, root
from kd_lab.core.redact import text as without_credentials
from kd_lab.data.dataset import MULTI_CLASS, MULTI_LABEL
from kd_lab.pipeline.summary_table import method
from kd_lab.tracking.mlflow_address import default_experiment, default_uri

CONF = str(root() / "conf")
# A second process of Lightning's would run the whole command line again, and wait for the first one's fit for ever.
SEVERAL_DEVICES = ("trainer.strategy", "trainer.devices", "trainer.num_nodes", "teacher.trainer.strategy")
MISTAKES = (HydraException, OmegaConfBaseException, ValueError)  # what Hydra raises for what the user wrote

MONITORED = {MULTI_CLASS: "accuracy", MULTI_LABEL: "mean_average_precision"}  # task -> what chooses the best epoch

_EXTRAS = {"joblib": "joblib", "submitit_local": "submitit", "submitit_slurm": "submitit"}  # launcher -> what brings it


def register() -> None:
    """Defines the resolvers that conf/ uses."""
    OmegaConf.register_new_resolver("root", lambda: str(root()), replace=True)
    OmegaConf.register_new_resolver("default_data", lambda: str(default_data()), replace=True)
    OmegaConf.register_new_resolver("last_part", lambda path: str(path).rstrip("/").rpartition("/")[2], replace=True)
    OmegaConf.register_new_resolver("cell_name", cell_name, replace=True)
    OmegaConf.register_new_resolver("tracking_uri", default_uri, replace=True)
    OmegaConf.register_new_resolver("tracking_experiment", default_experiment, replace=True)
    OmegaConf.register_new_resolver("learns_from", learns_from, replace=True)
    OmegaConf.register_new_resolver("monitor", MONITORED.get, replace=True)


def learns_from(*, _root_: DictConfig) -> str:
    """What a run's loss asks, "teacher" or "labels", so that a study may give each its own epochs: experiments/demo."""
    loss = OmegaConf.to_container(_root_.loss, resolve=True)
    return "labels" if method({"loss": loss}) == "baseline" else "teacher"


def cell_name(overrides: str) -> str:
    """A folder name for the overrides that make a cell: the same each time, short enough for any disk."""
    if not overrides:
        return "default"
    overrides = without_credentials(overrides)
    name = re.sub(r"[^\w.,=+\[\]-]", "-", overrides)
    digest = hashlib.sha256(overrides.encode()).hexdigest()[:8]
    if name == overrides and len(name) <= 120 and len(name.encode()) <= 240:  # file systems count bytes, up to 255
        return name
    return f"{name[:110].encode()[:240].decode(errors='ignore')}-{digest}"


def compose(overrides: Sequence[str] = (), name: str = "config") -> DictConfig:
    """The config of a single run, or by its `name` another that lies in conf/.

    Raises:
        UserError: an override is wrong.
    """
    register()
    try:
        with initialize_config_dir(CONF, version_base="1.3"):
            config: DictConfig = hydra_compose(name, path_override.readable(overrides))
            return config
    except MISTAKES as error:
        raise mistake(error) from error


def mistake(error: Exception) -> UserError:
    """Hydra's or OmegaConf's complaint as one line."""
    text = " ".join(str(error).split())
    if (key := named_in(error)) is not None:
        return _unknown(key)
    typed = re.search(r"Error merging override (\S+?)=(.*)", text)
    if typed:
        why = str(error.__cause__ or error).splitlines()[0]
        return UserError(typed[1], expected="a value of the option's type", got=why, cure="Leave it out, or give such.")
    choice = re.search(r"Could not find '([^']+)'|Could not load '([^']+)'", text)
    if choice:
        group, _, option = (choice[1] or choice[2]).rpartition("/")
        if group == "hydra/launcher" and option in _EXTRAS:
            cure = f"pip install 'kd_lab[{_EXTRAS[option]}]'"
            return UserError(f"{group}={option}", expected="the package of its plug-in", got="none", cure=cure)
        if group.startswith("experiments/"):  # a study's name may have folders
            group, option = "experiments", f"{group.removeprefix('experiments/')}/{option}"
        there = experiments() if group == "experiments" else sorted(p.stem for p in Path(CONF, group).glob("*.yaml"))
        known = ", ".join(there) if there else "see kd-lab --help"
        return UserError(f"override {group}", expected=f"one of {known}", got=option, cure="Choose one of them.")
    missing = re.search(r"Missing mandatory value: (\S+)", text)
    if missing:
        by_another = isinstance(error, InterpolationToMissingValueError)  # whose value it is to be
        name = missing[1] if by_another else str(getattr(error, "full_key", None) or missing[1])
        return UserError(name, expected="a value", got="none", cure=f"Give it, e.g. {name}=VALUE.")
    return UserError("overrides", expected="overrides as Hydra reads them", got=text[:300], cure="kd-lab --help.")


def experiments() -> list[str]:
    """Names that `experiments=` takes."""
    folder = root() / "experiments"
    specs = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return sorted(spec.as_posix() for spec in specs)


def _unknown(key: str) -> UserError:
    if key not in SEVERAL_DEVICES:
        return not_in_conf(key)
    cure = "Use several devices by running cells side by side: -m hydra/launcher=joblib hydra.launcher.n_jobs=2."
    return UserError(f"override {key}", expected="one device for each cell", got="several", cure=cure)
