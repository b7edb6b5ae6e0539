"""Which settings no other beats in accuracy and cost both, and the points that are drawn around them."""

from __future__ import annotations

from collections.abc import Sequence

from kd_lab.core.nested import at
from kd_lab.report.study import measures
from kd_lab.report.study.accuracy import spread
from kd_lab.report.study.measures import ACCURACY, Measure
from kd_lab.report.study.settings import Setting


def front(settings: Sequence[Setting], cost_path: str) -> list[Setting]:
    """The Pareto-optimal settings by mean test accuracy and mean cost, cheapest first.

    A setting is left out where another is at least as accurate and as cheap, and better in one of the two; so equals
    stay together. Settings without either number are left out.

    Args:
        settings: of a study.
        cost_path: of a number where less is better, e.g. "cost.size_mib".
    """
    found = sorted(points(settings, Measure("cost", "", cost_path)), key=lambda point: point[1])
    best = optimal([(price, score) for _, price, score in found])
    return [setting for place, (setting, _, _) in enumerate(found) if place in best]


def optimal(known: Sequence[tuple[float, float]]) -> set[int]:
    """Places of the (cost, accuracy) points that no other is as good as in both and better than in one."""
    return {
        place
        for place, (price, score) in enumerate(known)
        if not any(p <= price and s >= score and (p, s) != (price, score) for p, s in known)
    }


def points(settings: Sequence[Setting], cost: Measure) -> list[tuple[Setting, float, float]]:
    """(setting, mean cost, mean accuracy in percent) of settings that have both."""
    found = [(setting, measures.mean(setting, cost), measures.mean(setting, ACCURACY)) for setting in settings]
    return [(setting, price, score) for setting, price, score in found if price is not None and score is not None]


def interval(setting: Setting) -> tuple[float, float] | None:
    """95 % interval of the accuracy, percent: over seeds where these differ, else over test rows; None without one."""
    found = spread(setting)
    if found is None or found.low is None or found.high is None or found.low == found.high:
        return None
    return 100 * found.low, 100 * found.high


def teachers(settings: Sequence[Setting], cost: Measure) -> list[tuple[str, float, float]]:
    """(name, cost, accuracy in percent) of each distinct teacher; the first cell that had it tells."""
    found: dict[str, tuple[str, float, float]] = {}
    for cell in (cell for setting in settings for cell in setting.cells):
        price, score = at(cell, f"teacher.{cost.path}"), at(cell, f"teacher.{ACCURACY.path}")
        if price is not None and score is not None:
            name = str(cell.teacher.get("model"))
            found.setdefault(str(cell.teacher.get("fingerprint")), (name, float(price), 100 * score))
    return list(found.values())
