"""What Hydra keeps of a sweep in `multirun.yaml`, without credentials."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from kd_lab.core.redact import redacted


def without_credentials(config: DictConfig) -> DictConfig:
    """A copy of the config in which credentials are hidden; interpolations stay as they are."""
    plain = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    hidden: DictConfig = OmegaConf.create(redacted(plain))
    return hidden
