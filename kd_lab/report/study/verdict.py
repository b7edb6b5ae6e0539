"""Which setting is best, and whether it is: chosen on validation, then held against every other on the test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd_lab.core.nested import at
from kd_lab.evaluation.paired_tests import Predictions
from kd_lab.report.study import measures
from kd_lab.report.study.accuracy import by_rows, percent, spread
from kd_lab.report.study.comparisons import (
    LEVEL,
    SettingComparison,
    compared,
    corrected,
    p_in_words,
    seeds_noise,
    tests_where_chosen,
)
from kd_lab.report.study.data_sets import data_sets
from kd_lab.report.study.runs import Run, runs_in_words
from kd_lab.report.study.settings import Setting

_NAMED = 2  # of many settings


@dataclass(frozen=True)
class Verdict:
    """What a study says about the settings it tried on one data set.

    Args:
        data_set: its name, which differs from those of the study's other data sets.
        best: of the highest mean validation accuracy, the first of equals; None where that is at chance, or no cell has
            one.
        others: best less each other setting that finished, in order.
        tried: settings that finished.
        text: all this in one line.
    """

    data_set: str
    best: Setting | None
    others: Sequence[SettingComparison]
    tried: int
    text: str


def verdicts(settings: Sequence[Setting], predictions: Sequence[Mapping[Run, Predictions]]) -> list[Verdict]:
    """One verdict a data set: accuracies on two of them cannot be compared.

    The best is chosen on validation, so that the rows it is tested on have not helped to choose it; the seeds' noise
    is judged by all settings, and p values are corrected for as many tests as `tests_where_chosen` says.

    Args:
        settings: of the study.
        predictions: of each setting, by run.
    """
    by_setting = {id(setting): one for setting, one in zip(settings, predictions, strict=True)}
    groups = data_sets([setting for setting in settings if setting.cells])
    return [_verdict(group.name, group.settings, by_setting, len(groups) > 1) for group in groups]


def _verdict(
    name: str, group: Sequence[Setting], predictions: Mapping[int, Mapping[Run, Predictions]], several: bool
) -> Verdict:
    tried, where = len(group), f"{name}: " if several else ""
    if tried == 1:
        return Verdict(name, group[0], [], 1, where + _figures(group[0]))
    best = measures.best(group)
    if best is None:
        if at_chance := [setting for setting in group if measures.is_at_chance(setting)]:
            return Verdict(name, None, [], tried, f"{where}no best: {_chance(group, at_chance)}")
        scored = any(setting.over_seeds(measures.VALIDATION.path) for setting in group)
        lacking = "the settings have no split in common" if scored else "no setting has a validation accuracy"
        return Verdict(name, None, [], tried, f"{where}no best: {lacking} to choose by")
    others = _held_against(best, group, predictions)
    told = "; ".join(_comparisons(others))
    return Verdict(name, best, others, tried, f"{where}best: {best.label}, {_figures(best)}, {told}")


def _chance(group: Sequence[Setting], at_chance: Sequence[Setting]) -> str:
    """Why none is the best where the one of the highest validation accuracy is at chance."""
    rate = f"at the majority-class rate on validation{_rate(group)}"
    if len(at_chance) == len(group):
        return f"{'both' if len(group) == 2 else f'all {len(group)}'} settings are {rate}"
    highest = measures.highest(group)
    assert highest is not None  # it is one of those at chance
    others = len(group) - len(at_chance)
    return (
        f"{highest.label}, which has the highest accuracy on validation, is {rate}; {others} of {len(group)} settings "
        f"{'is' if others == 1 else 'are'} not, if classes are weighed alike (balanced accuracy)"
    )


def _rate(group: Sequence[Setting]) -> str:
    """Such as " (33.3 %)"; nothing where the settings' splits differ in it."""
    rates = {at(cell, "metrics.validation.majority_rate") for setting in group for cell in setting.cells}
    return f" ({100 * rates.pop():.1f} %)" if len(rates) == 1 else ""


def _held_against(
    best: Setting, group: Sequence[Setting], predictions: Mapping[int, Mapping[Run, Predictions]]
) -> list[SettingComparison]:
    """Best less each other."""
    others, noise = [setting for setting in group if setting is not best], seeds_noise(best, group)
    found = [compared(predictions[id(best)], predictions[id(other)], noise) for other in others]
    return corrected(others, found, tests_where_chosen(len(group), [one for one, _ in found if one is not None]))


def _figures(setting: Setting) -> str:
    found = spread(setting)
    runs = runs_in_words(setting.by_run)
    wide = " (so few that the interval is wide)" if found is not None and found.n == 2 and not by_rows(found) else ""
    seeds = "" if found is None else f", {runs}" if found.n == 1 else f" over {runs}{wide}"
    chance = ", at the majority-class rate on validation" if measures.is_at_chance(setting) else ""
    lost = f", {len(setting.failed)} of its cells did not finish" if setting.failed else ""
    return f"test accuracy {percent(found)}{seeds}{chance}{lost}"


def _comparisons(others: Sequence[SettingComparison]) -> list[str]:
    """The comparisons in words."""
    better, same, worse, skipped = (
        [one for one in others if (one.comparison is not None) == known and one.sign == sign]
        for known, sign in ((True, 1), (True, 0), (True, -1), (False, 0))
    )
    parts = []
    if better:
        whom = "the other" if len(others) == 1 else f"all {len(others)} others"
        if len(better) < len(others):
            whom = f"{len(better)} of {len(others)} others"
        parts.append(f"better than {whom} ({_largest(better)})")
    if same:
        parts.append(f"not distinguishable from: {_names(same)} (corrected p ≥ {LEVEL})")
    if worse:
        parts.append(f"chosen on validation, yet worse on test than: {_names(worse)} ({_largest(worse)})")
    if skipped:
        parts.append(f"not compared with: {_names(skipped)} ({', '.join(dict.fromkeys(one.why for one in skipped))})")
    if any(one.comparison and one.comparison.n == 1 for one in others):
        parts.append("compared by one seed, which says nothing about other seeds")
    return parts


def _names(others: Sequence[SettingComparison]) -> str:
    """The most accurate two by name, the rest by number."""
    order = sorted(others, key=lambda one: -(measures.mean(one.setting, measures.ACCURACY) or 0))
    names = [one.setting.label for one in order[:_NAMED]]
    rest = len(others) - len(names)
    if rest:
        return f"{', '.join(names)} and {rest} other{'s' if rest > 1 else ''}"
    return " and ".join(names)


def _largest(others: Sequence[SettingComparison]) -> str:
    p = max(one.p_corrected for one in others if one.p_corrected is not None)
    return f"{'corrected' if len(others) == 1 else 'largest corrected'} p {p_in_words(p)}"
