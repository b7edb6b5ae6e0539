"""Which values to try next: the rules that `hydra.sweeper.sampler` chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kd_lab.core.errors import UserError
from kd_lab.sweeps.search.storage import optuna_library

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SAMPLERS = ("tpe", "random", "cmaes", "nsgaii", "grid")


def sampler(name: str, seed: int, place: int, trials: int, batch: int) -> BaseSampler:
    """The rule called `name`.

    Args:
        seed: of the search.
        place: of the next trial in the search, from 0: what is drawn for it depends on nothing else that was drawn, so
            that a search which was killed goes on as it would have. (`cmaes` and `nsgaii` draw by Optuna's numbers of
            trials too, which those that were cut short have as well.)
        trials: that there shall be, which sets the size of a generation.
        batch: trials asked for at once.

    Raises:
        UserError: `cmaes` without its package.
    """
    import numpy as np

    samplers = optuna_library().samplers
    own = int(np.random.SeedSequence([seed, place]).generate_state(1)[0])
    try:
        found: BaseSampler = {
            # pretends that trials under way went badly, so that a batch does not hold one point several times
            "tpe": lambda: samplers.TPESampler(seed=own, constant_liar=batch > 1),
            "random": lambda: samplers.RandomSampler(seed=own),
            "cmaes": lambda: samplers.CmaEsSampler(seed=own, warn_independent_sampling=False),
            # Optuna's 50 trials a generation would make any search of ours one of random points
            "nsgaii": lambda: samplers.NSGAIISampler(seed=own, population_size=max(4, min(50, trials // 4))),
            "grid": lambda: samplers.RandomSampler(seed=own),  # never asked: the search queues the grid itself
        }[name]()
    except ImportError as error:
        raise UserError(
            "hydra.sweeper.sampler=cmaes", expected="cmaes", got=str(error), cure="pip install cmaes"
        ) from error
    return found
