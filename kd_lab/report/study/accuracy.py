"""A setting's test accuracy over its runs: mean, spread over seeds, interval."""

from __future__ import annotations

from kd_lab.core.nested import at
from kd_lab.evaluation.intervals import RATE, Spread, over_seeds
from kd_lab.report.study import measures
from kd_lab.report.study.settings import Setting

_PATH = measures.ACCURACY.path


def spread(setting: Setting) -> Spread | None:
    """Test accuracy over the runs; of a single one with Wilson's interval over rows, if its result has one.

    So too of runs that all agree: their spread is none, and 100 % ± 0 over three seeds is not known for certain.
    """
    found = setting.over_seeds(_PATH)
    if not found:
        return None
    over = over_seeds(found, RATE)
    if not by_rows(over):
        return over
    intervals = [interval for cell in setting.cells if (interval := at(cell, f"{_PATH}_interval"))]
    low, high = intervals[0] if intervals else (over.low, over.high)
    return Spread(over.mean, over.sd, low, high, over.n)


def by_rows(over: Spread) -> bool:
    """Whether an accuracy's interval has to be that of its test rows, since its runs tell of no spread."""
    return over.sd is None or over.sd < 1e-12


def percent(found: Spread | None) -> str:
    """Such as "86.5 % ± 0.2 [86.1, 86.9]": mean, standard deviation over seeds, interval."""
    if found is None:
        return "unknown"
    sd = "" if found.sd is None else f" ± {100 * found.sd:.1f}"
    interval = "" if found.low is None or found.high is None else f" [{100 * found.low:.1f}, {100 * found.high:.1f}]"
    return f"{100 * found.mean:.1f} %{sd}{interval}"
