"""What Hydra would keep of a run in `.hydra/` and `multirun.yaml`, without credentials."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from kd_lab.errors import disk_errors
from kd_lab.redact import redacted

FOLDER = ".hydra"


def write(config: DictConfig, hydra: DictConfig, folder: Path) -> None:
    """Writes `config.yaml`, `hydra.yaml` and `overrides.yaml` into `folder/.hydra`, as Hydra does.

    Args:
        config: the run's own, interpolations as they are.
        hydra: Hydra's part.
        folder: of the cell.
    """
    task = hydra.overrides.task
    whole = {"config.yaml": config, "hydra.yaml": OmegaConf.create({"hydra": _plain(hydra)}), "overrides.yaml": task}
    with disk_errors(folder):
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        for name, part in whole.items():
            (folder / FOLDER / name).write_text(OmegaConf.to_yaml(without_credentials(part)), encoding="utf-8")


def without_credentials(config: DictConfig) -> DictConfig:
    """A copy of the config in which credentials are hidden; interpolations stay as they are."""
    hidden: DictConfig = OmegaConf.create(redacted(_plain(config)))
    return hidden


def _plain(config: DictConfig) -> object:
    return OmegaConf.to_container(config, resolve=False, enum_to_str=True)
