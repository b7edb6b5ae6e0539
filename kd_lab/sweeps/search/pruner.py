"""When a trial is hopeless: the rules that `hydra.sweeper.pruner` chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kd_lab.sweeps.search.storage import optuna_library

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

PRUNERS = ("none", "median", "halving")


def pruner(name: str) -> BasePruner:
    """The rule called `name`.

    - `median` gives up where the best figure so far is worse than the median of the others at the same epoch; never
      among the first five trials.
    - `halving` (asynchronous successive halving) lets the better half go on after epochs 1, 2, 4, 8, ...
    - `none` never gives up.
    """
    pruners = optuna_library().pruners
    found: BasePruner = {
        "none": pruners.NopPruner,
        "median": pruners.MedianPruner,
        "halving": lambda: pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
    }[name]()
    return found
