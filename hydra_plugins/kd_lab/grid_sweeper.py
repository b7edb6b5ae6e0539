"""Hydra's sweeper over a grid, which launches only those cells that have not finished before."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count


class GridSweeper(BasicSweeper):
    """Every combination of the values given, as in Hydra's own sweeper and with the same options.

    A cell whose own groups lack an option, such as `loss.temperature` under `loss=cross_entropy`, runs once without it.
    """

    def __init__(self, max_batch_size: Count | None = None, params: Mapping[str, Any] | None = None) -> None:
        super().__init__(max_batch_size, dict(params or {}))

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from kd_lab.cli.hydra_files import without_credentials
        from kd_lab.sweeps.launch import launcher

        self.hydra_context: Any = hydra_context
        self.config: Any = without_credentials(config)  # it is saved as multirun.yaml
        self.launcher: Any = launcher(hydra_context, task_function, config)
        self._meaningless: dict[tuple[tuple[str, ...], str], _Why] = {}  # (groups chosen, option) -> why

    def split_arguments(  # Hydra's is static, but called on the object
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The cells in batches, each composed and checked unless it has finished, before anything is made.

        Hydra writes multirun.yaml next, so the study's folder is marked here.

        Raises:
            UserError: a cell has a wrong option, or none of them has an option that was given.
        """
        from kd_lab.core.progress import say
        from kd_lab.sweeps.launch import claim

        (asked,) = BasicSweeper.split_arguments(overrides, None)
        found = [self._meaningful(one) for one in asked]
        left = {_key(one) for cell in found for one in cell}
        for (_, key), why in self._meaningless.items():
            if key not in left:
                raise why.told
        for line in self._passed_over(asked, found):
            say(line)
        cells = [list(one) for one in dict.fromkeys(map(tuple, found))]
        claim(Path(str(self.config.hydra.sweep.dir)))
        return list(BasicSweeper.split_overrides_to_chunks(cells, max_batch_size))

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: `split_arguments` has composed each cell that is still to be run."""

    def _meaningful(self, overrides: Sequence[str]) -> list[str]:
        """The cell's overrides but for options that its own groups do not have."""
        from kd_lab.cli import check
        from kd_lab.cli.unknown_option import chosen, named_in, unknown_option, without

        groups = self._groups(overrides)
        left = [one for one in overrides if (groups, _key(one)) not in self._meaningless]
        while self.launcher.unfinished([left]):
            try:
                config = self._composed(left)
            except ConfigCompositionException as error:
                key = named_in(error)
                if key is None or key not in map(_key, left):
                    raise
                here = chosen(self._composed(without(left, key)), key)
                where = f"{here.group}={here.option}" if here else "this cell"
                self._meaningless[groups, key] = _Why(where, unknown_option(key, left, self._composed))
                left = [one for one in left if _key(one) != key]
            else:
                check.cell(config, Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir))
                break
        return left

    def _passed_over(self, asked: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> Iterator[str]:
        """What is to be said of options that some cells do not have."""
        for key, where in dict.fromkeys((key, why.where) for (_, key), why in self._meaningless.items()):
            groups = {groups for (groups, one), why in self._meaningless.items() if (one, why.where) == (key, where)}
            without = [number for number, one in enumerate(asked) if self._groups(one) in groups]
            having = {one for cell in found if key in map(_key, cell) for one in cell}
            shared = [one for one in asked[without[0]] if all(one in asked[number] for number in without)]
            blamed = [one for one in shared if one not in having and _key(one) != key] or [where]
            cells = len({tuple(found[number]) for number in without})
            lacks = "" if blamed == [where] else f" ({where} has no such option)"
            count = f"{cells} cell{'s' * (cells != 1)} instead of {len(without)}"
            yield f"{key} has no meaning for {', '.join(blamed)}{lacks}: {count}"

    def _groups(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """Those overrides that choose an option of a group."""
        choices = self.config.hydra.runtime.choices
        keys = {*map(str, choices), "compression"}  # of an empty list Hydra notes nothing
        return tuple(one for one in overrides if _key(one) in keys or "@" in _key(one) or "/" in _key(one))

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        config: DictConfig = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        return config


class _Why(NamedTuple):
    """Why an option has no meaning."""

    where: str  # the group's option that lacks it
    told: UserError  # where no cell has it


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
