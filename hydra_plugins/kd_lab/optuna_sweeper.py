"""`hydra/sweeper=optuna`: a sweep whose cells Optuna chooses, one after the other or a batch at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException, HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console

from kd_lab.cli.hydra_files import without_credentials
from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.option_types import Count, NonEmpty, Objectives, Seed, Share
from kd_lab.core.progress import say
from kd_lab.pipeline.run_folder import give_back, missing_folders
from kd_lab.sweeps import launch
from kd_lab.sweeps.search import record
from kd_lab.sweeps.search.objective import objectives
from kd_lab.sweeps.search.pruner import PRUNERS
from kd_lab.sweeps.search.sampler import SAMPLERS
from kd_lab.sweeps.search.space import Space, read
from kd_lab.sweeps.search.storage import optuna_library
from kd_lab.sweeps.search.study import AskedTrial, Search, SearchPlan, data_of


class OptunaSweeper(Sweeper):
    """Asks Optuna for trials, launches them as cells, reads their `result.json`; conf/hydra/sweeper has the options.

    A job returns its cell's folder. Jobs are told their trial by the override `search={...}`, which only a search
    with a pruner sends.
    """

    hydra_context: HydraContext  # these three from `setup` on
    config: DictConfig
    launcher: launch.ResumingLauncher

    def __init__(
        self,
        study: NonEmpty,
        trials: Count = 20,
        batch: Count = 1,
        sampler: NonEmpty | None = None,
        seed: Seed = 0,
        storage: NonEmpty | None = None,
        objectives: Objectives = ({"metrics.validation.accuracy": "maximize"},),
        pruner: NonEmpty | None = None,
        max_failures: Share = 0.5,
        params: Mapping[NonEmpty, Any] | None = None,
    ) -> None:
        self.study, self.trials, self.batch, self.sampler, self.seed = study, trials, batch, sampler, seed
        self.storage, self.objectives, self.pruner = storage, _plain(objectives), pruner
        self.max_failures, self.params = max_failures, _plain(params) or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = launch.launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        """Runs the search to its end.

        Raises:
            UserError: an option or an axis is wrong, or the study is led by another process; nothing is left then.
        """
        optuna_library()
        folder = Path(self.config.hydra.sweep.dir).absolute()
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = [f"{key}={value}" for key, value in self.params.items()]
        plan = self._plan(read(parser.parse_overrides([*lines, *arguments])), folder)
        for example in plan.space.examples():
            self._refuse_hopeless(example, folder)
        made = missing_folders(folder)
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / ".optuna.lock"
        try:
            with FileLock(lock, timeout=0):
                search = self._opened(plan, lock, made)
                search.refuse_other_data(lambda values: self._data_now(plan.space.job(values)))
                launch.claim(folder)
                OmegaConf.save(without_credentials(self.config), folder / "multirun.yaml")
                return self._run(search, folder)
        except Timeout:
            raise UserError(
                f"study {plan.study}", expected="one search at a time", got="one that is under way", cure="Wait for it."
            ) from None

    def _refuse_hopeless(self, example: list[str], folder: Path) -> None:
        """Refuses a search of which some trials could not run, as a grid refuses its cells.

        Raises:
            UserError: an option has no right value, or none in one of the groups that are searched.
        """
        from kd_lab.cli import check
        from kd_lab.cli.unknown_option import named_in, unknown_option

        try:
            config = self._composed(example)
        except ConfigCompositionException as error:
            if (key := named_in(error)) is None:
                raise
            raise unknown_option(key, example, self._composed) from error
        check.cell(config, folder / str(config.hydra.sweep.subdir))

    def _data_now(self, job: Sequence[str]) -> str | None:
        """What a cell would learn from; None where it has finished and nothing has changed."""
        from kd_lab.pipeline.plan import Plan

        if not self.launcher.unfinished([job]):
            return None
        config = self._composed(launch.cell_overrides(job))
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        return data_of(Plan(config).fingerprints)

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        config: DictConfig = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        return config

    def _plan(self, space: Space, folder: Path) -> SearchPlan:
        """The options, checked."""
        goals = objectives(self.objectives)
        several, watched = len(goals) > 1, goals[0].monitor is not None
        _check("trials", self.trials, isinstance(self.trials, int) and self.trials > 0, "a whole number above 0")
        _check("batch", self.batch, isinstance(self.batch, int) and self.batch > 0, "a whole number above 0")
        _check("seed", self.seed, isinstance(self.seed, int) and self.seed >= 0, "a whole number from 0")
        share = self.max_failures
        _check("max_failures", share, isinstance(share, int | float) and 0 <= share <= 1, "a share from 0 to 1")
        sampler = self.sampler or ("nsgaii" if several else "tpe")
        _check("sampler", sampler, sampler in SAMPLERS, f"one of {', '.join(SAMPLERS)}")
        can_prune = watched and not several
        pruner = self.pruner or ("median" if can_prune else "none")
        _check("pruner", pruner, pruner in PRUNERS, f"one of {', '.join(PRUNERS)}")
        why = "none, for only one objective under metrics.validation can be watched during a fit"
        _check("pruner", pruner, can_prune or pruner == "none", why)
        if sampler == "grid":
            space.grid()
        return SearchPlan(
            study=self.study,
            storage=self.storage or f"sqlite:///{folder / 'optuna.db'}",
            space=space,
            objectives=goals,
            trials=self.trials,
            batch=self.batch,
            sampler=sampler,
            pruner=pruner,
            seed=self.seed,
            free=frozenset(self.config.hydra.job.config.override_dirname.exclude_keys),
        )

    def _opened(self, plan: SearchPlan, lock: Path, made: Sequence[Path]) -> Search:
        """The study, opened; where that cannot be, none of the folders that were `made` is left."""
        try:
            return Search(plan)
        except UserError:
            give_back(lock.parent, made, lock.name)
            raise

    def _run(self, search: Search, folder: Path) -> list[JobReturn]:
        returned, allowed = [], self.max_failures * search.left
        while asked := search.ask(self.batch):
            returned += self._launch(search, asked)
            record.write(search, folder)
            if search.failed > allowed:
                say(f"search stopped: {search.failed} trials failed, hydra.sweeper.max_failures={self.max_failures}")
                break
        # The cells of earlier starts too: one may have been killed before it came to close the sweep.
        there = [folder / cell for cell in search.cells()]
        launch.cells[:0] = [cell for cell in there if results.peek(cell) is not None]
        file = record.write(search, folder)
        Console(width=None if Console().is_terminal else 180).print(record.to_rich(search))
        say(f"Trials: {file}")
        return returned

    def _launch(self, search: Search, asked: Sequence[AskedTrial]) -> list[JobReturn]:
        """Runs a batch and tells what came of each trial."""
        batch = {}
        for trial in asked:
            job = [*search.plan.space.job(trial.values), *_told(search.plan, trial)]
            try:
                self.validate_batch_is_legal([job])
                batch[trial.number] = job
            except (HydraException, OmegaConfBaseException, ValueError) as error:  # choices that do not go together
                say(f"trial {trial.number} {search.tell_failed(trial.number, ' '.join(str(error).split()))}")
        if not batch:
            return []
        returned: list[JobReturn] = list(self.launcher.launch(list(batch.values()), initial_job_idx=min(batch)))
        for number, job in zip(batch, returned, strict=True):
            value = job._return_value  # the property would print a line of its own
            if job.status is JobStatus.COMPLETED and isinstance(value, str):
                said = search.tell(number, Path(value))
            else:
                said = search.tell_failed(number, f"{type(value).__name__}: {value}")
            say(f"trial {number}: {said}")
        return returned


def _told(plan: SearchPlan, trial: AskedTrial) -> list[str]:
    """The override that tells a job its trial."""
    if plan.pruner == "none":
        return []
    storage, study = (QuotedString(text, Quote.single).with_quotes() for text in (plan.storage, plan.study))
    monitor = plan.objectives[0].monitor
    return [f"search={{storage:{storage},study:{study},number:{trial.number},monitor:{monitor}}}"]


def _check(option: str, value: object, right: bool, expected: str) -> None:
    if not right or isinstance(value, bool):
        cure = "See conf/hydra/sweeper/optuna.yaml."
        raise UserError(f"hydra.sweeper.{option}", expected=expected, got=repr(value), cure=cure)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
