"""What is searched: the axes and the fixed values of a command line in Hydra's own grammar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from kd_lab.core.errors import UserError
from kd_lab.core.option_roles import is_of_the_data, is_seed
from kd_lab.sweeps.search.storage import optuna_library

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

FORMS = (
    "Write e.g. loss.temperature=interval(1,10), model=distilbert_mini,lstm_attention or trainer.max_epochs=range(1,9)."
)


@dataclass(frozen=True)
class Space:
    """The overrides of every trial."""

    lines: Mapping[str, str]  # override key -> the override as it was written, in the order of the command line
    axes: Mapping[str, BaseDistribution]  # of those that are searched; a list's choices are the texts of its values

    def job(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of the trial that has these values."""
        return [
            f"{key}={text(self.axes[key], values[key])}" if key in self.axes else line
            for key, line in self.lines.items()
        ]

    def examples(self) -> list[list[str]]:
        """A few jobs that together show each choice and each end of an interval."""
        shown = {key: _shown(axis) for key, axis in self.axes.items()}
        most = max(map(len, shown.values()))
        return [self.job({key: values[min(i, len(values) - 1)] for key, values in shown.items()}) for i in range(most)]

    def grid(self) -> list[dict[str, Any]]:
        """Every combination.

        Raises:
            UserError: an axis is an interval of real numbers.
        """
        every = []
        for key, axis in self.axes.items():
            values = _values(axis)
            if values is None:
                raise UserError(key, expected="a list or a range for sampler=grid", got=self.lines[key], cure=FORMS)
            every.append(values)
        return [dict(zip(self.axes, values, strict=True)) for values in product(*every)]


def read(overrides: Sequence[Any]) -> Space:
    """The space that parsed overrides of Hydra span; of one key the last counts.

    Lists become choices, `interval(a,b)` real numbers, `range(a,b,step)` the numbers it runs through; the tag `log`
    searches on a logarithmic scale, the tag `int` makes an interval one of whole numbers, both ends included.

    Raises:
        UserError: nothing is searched, an axis is empty, or one is a seed or says which data set.
    """
    by_key = {item.get_key_element(): item for item in overrides}
    axes = {key: _axis(item) for key, item in by_key.items() if item.is_sweep_override()}
    space = Space({key: str(item.input_line) for key, item in by_key.items()}, axes)
    if not space.axes:
        raise UserError("hydra/sweeper=optuna", expected="an axis to search", got="fixed values only", cure=FORMS)
    for key in space.axes:
        if is_seed(key):
            cure = f"Search with one seed, then run the best settings again with -m {key}=0,1,2."
            luck = "one value, for a search over seeds finds the luckiest"
            raise UserError(key, expected=luck, got="several", cure=cure)
        if is_of_the_data(key):
            easiest = "one value, for a search over data sets finds the easiest"
            cure = "Search each under a name of its own, e.g. name=first and name=second."
            raise UserError(key, expected=easiest, got="several", cure=cure)
    return space


def text(axis: BaseDistribution, value: Any) -> str:
    """A value of `axis` as an override writes it."""
    stepped = getattr(axis, "step", None) is not None
    return f"{value:.12g}" if isinstance(value, float) and stepped else str(value)  # 0.3, not 0.30000000000000004


def _axis(item: Any) -> BaseDistribution:
    distributions, key = optuna_library().distributions, item.get_key_element()
    try:
        if item.is_choice_sweep():
            choices = list(dict.fromkeys(item.sweep_string_iterator()))
            axis = distributions.CategoricalDistribution(choices)
        else:
            axis = _numbers(distributions, item.value(), item.is_range_sweep())
    except (ValueError, ArithmeticError, LookupError) as error:
        raise UserError(
            key, expected="an axis with values in it", got=f"{item.input_line} ({error})", cure=FORMS
        ) from error
    found: BaseDistribution = axis
    return found


def _numbers(distributions: Any, sweep: Any, stepped: bool) -> Any:
    log = "log" in sweep.tags
    if stepped:
        values = sorted(sweep.range())
        if all(isinstance(value, int) for value in values):
            return distributions.IntDistribution(values[0], values[-1], log=log, step=abs(sweep.step))
        low, high, step = (float(f"{value:.12g}") for value in (values[0], values[-1], abs(sweep.step)))
        return distributions.FloatDistribution(low, high, log=log, step=step)
    low, high = sweep.start, sweep.end
    if "int" in sweep.tags or (isinstance(low, int) and isinstance(high, int)):
        return distributions.IntDistribution(math.ceil(low), math.floor(high), log=log)
    return distributions.FloatDistribution(low, high, log=log)


def _values(axis: Any) -> list[Any] | None:
    """All values of an axis; None where they cannot be counted."""
    if hasattr(axis, "choices"):
        return list(axis.choices)
    if axis.step is None:
        return None
    count = round((axis.high - axis.low) / axis.step) + 1
    return [axis.low + i * axis.step for i in range(count)]


def _shown(axis: Any) -> list[Any]:
    return list(axis.choices) if hasattr(axis, "choices") else [axis.low, axis.high]
