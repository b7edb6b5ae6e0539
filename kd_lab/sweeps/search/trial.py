"""One trial of a search, seen from the fit: it reports each epoch, and is told when it is hopeless."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from kd_lab.core.errors import GivenUp
from kd_lab.core.option_types import NonEmpty, Number
from kd_lab.sweeps.search.pruner import pruner
from kd_lab.sweeps.search.storage import open_storage, optuna_library

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.study import Study

PRUNER = "pruner"  # the study's attribute that names its rule


class Pruned(GivenUp):
    """The trial is hopeless: its fit ends here, and its cell is recorded as pruned."""


class Trial:
    """A trial that the sweeper asked for. It opens the storage at its first report: a fit from the cache never does.

    Args:
        storage: URL of the database.
        study: the study's name in it.
        number: the trial's, from 0.
        monitor: the figure on validation that is searched for, such as `accuracy`.
    """

    def __init__(self, storage: NonEmpty, study: NonEmpty, number: Number, monitor: NonEmpty) -> None:
        self.storage, self.study, self.number, self.monitor = storage, study, number, monitor

    def observe(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Reports the figure that is searched for, where the epoch has it.

        Args:
            epoch: the one that has ended, from 0.
            metrics: of this epoch, by names such as `validation/accuracy`.

        Raises:
            Pruned: the trial is hopeless.
        """
        value = metrics.get(f"validation/{self.monitor}")
        if value is not None:
            self.report(epoch + 1, value)

    def report(self, epoch: int, value: float) -> None:
        """Tells the study what the trial has reached after `epoch` epochs; the first report is on 1.

        Raises:
            Pruned: by the study's rule the trial is hopeless.
            UserError: the storage is away.
        """
        optuna, (storage, study, trial) = optuna_library(), self._opened
        try:
            storage.set_trial_intermediate_value(trial, epoch, float(value))
        except optuna.exceptions.UpdateFinishedTrialError:
            return  # the search was killed and started anew: this fit is still wanted, by the trial that repeats it
        if study.pruner.prune(study, storage.get_trial(trial)):
            raise Pruned(f"pruned after epoch {epoch}: {self.monitor} {value:.4f} on validation is behind other trials")

    @cached_property
    def _opened(self) -> tuple[RDBStorage, Study, int]:
        storage = open_storage(self.storage, new=False)
        study = optuna_library().load_study(study_name=self.study, storage=storage)
        study.pruner = pruner(study.user_attrs[PRUNER])
        number = storage.get_trial_id_from_study_id_trial_number(
            storage.get_study_id_from_name(self.study), self.number
        )
        return storage, study, number
