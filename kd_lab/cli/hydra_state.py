"""Lets Hydra run within a program that may use Hydra itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.version import VersionBase
from omegaconf.basecontainer import BaseContainer

from kd_lab.cli.compose import register

# In place of those of conf/config.yaml, which silence every logger of a program and close its files.
LOGGING_AS_IT_IS = ("hydra/hydra_logging=none", "hydra/job_logging=none")
_OF_A_RUN = (GlobalHydra, HydraConfig, JobRuntime, VersionBase)


@contextmanager
def hydra_state_kept() -> Iterator[None]:
    """Gives Hydra a state of its own, and puts back what the program had: its Hydra, config, and OmegaConf's resolvers.

    Hydra's lists of plug-ins and of stored configs stay: they are made once a process.
    """
    before, resolvers = dict(Singleton._instances), dict(BaseContainer._resolvers)
    for kind in _OF_A_RUN:
        Singleton._instances.pop(kind, None)
    register()
    try:
        yield
    finally:
        for kind in _OF_A_RUN:
            Singleton._instances.pop(kind, None)
        Singleton._instances.update({kind: one for kind, one in before.items() if kind in _OF_A_RUN})
        BaseContainer._resolvers = resolvers
