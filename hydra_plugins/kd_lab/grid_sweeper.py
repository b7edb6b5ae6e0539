"""Hydra's sweeper over a grid, which launches only those cells that have not finished before."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(BasicSweeper):
    """Every combination of the values given, as in Hydra's own sweeper and with the same options."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from kd_lab.launch import launcher
        from kd_lab.verbs.hydra_files import without_credentials

        self.hydra_context, self.config = hydra_context, without_credentials(config)  # it is saved as multirun.yaml
        self.launcher: Any = launcher(hydra_context, task_function, config)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Composes each cell that is still to be run, so that a mistake shows before the first one starts."""
        super().validate_batch_is_legal(self.launcher.unfinished(batch))
