"""Settings held against one of them, on the same test rows, seed by seed; p values know how many comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd_lab.core.errors import UserError
from kd_lab.core.nested import at
from kd_lab.evaluation.paired_tests import Comparison, Predictions, SeedNoise, compare, holm, seed_noise
from kd_lab.report.study import measures
from kd_lab.report.study.runs import Run, by_shared_seeds
from kd_lab.report.study.settings import Setting

LEVEL = 0.05


@dataclass(frozen=True)
class SettingComparison:
    """A setting and another it is held against.

    Args:
        setting: the one of the two that is not the same in all of a family of comparisons.
        comparison: first less second, see who made it; None where no run, or no row, is in both.
        p_corrected: its p after Holm's correction; None without a comparison.
        why: there is no comparison; empty where there is one.
    """

    setting: Setting
    comparison: Comparison | None
    p_corrected: float | None
    why: str = ""

    @property
    def sign(self) -> int:
        """1 where the first is better, -1 where it is worse, 0 where the two cannot be told apart or compared."""
        if self.comparison is None or self.p_corrected is None or self.p_corrected >= LEVEL:
            return 0
        return 1 if self.comparison.difference > 0 else -1


def corrected(
    settings: Sequence[Setting], found: Sequence[tuple[Comparison | None, str]], tests: int | None = None
) -> list[SettingComparison]:
    """What `compared` found of each setting, with p values after Holm's correction.

    Args:
        settings, found: in one order.
        tests: how many are corrected for; None for those that were made.
    """
    p = iter(holm([one.p for one, _ in found if one is not None], tests))
    return [
        SettingComparison(setting, one, None if one is None else next(p), why)
        for setting, (one, why) in zip(settings, found, strict=True)
    ]


def tests_where_chosen(settings: int, found: Sequence[Comparison]) -> int:
    """How many tests a p is corrected for where one side was chosen among settings by its validation accuracy.

    With one seed the comparisons made. With several, the same fits that were chosen are tested, and lucky ones get
    chosen; so all pairs of settings.
    """
    return settings * (settings - 1) // 2 if any(one.n > 1 for one in found) else len(found)


def compared(
    first: Mapping[Run, Predictions], second: Mapping[Run, Predictions], noise: SeedNoise | None
) -> tuple[Comparison | None, str]:
    """(the comparison, first less second; why there is none)."""
    if not first or not second:
        return None, "no predictions"
    try:
        ours, theirs = by_shared_seeds([first, second])
        found = compare(ours, theirs, noise)
    except UserError as error:  # other test rows: the verdict says that they were not compared
        return None, error.got
    return found, "" if found else "no seed in common"


def seeds_noise(one: Setting, group: Sequence[Setting]) -> SeedNoise | None:
    """How seeds move accuracies, from the settings of the group that have all runs of one of them."""
    runs, *others = by_shared_seeds([setting.by_run for setting in (one, *group) if setting.cells])
    whole = [theirs for theirs in others if all(run in theirs for run in runs)]
    found = [[at(theirs[run], measures.ACCURACY.path) for run in runs] for theirs in whole]
    return seed_noise([numbers for numbers in found if None not in numbers])


def points(found: Comparison, unit: str = "") -> str:
    """Such as "+1.3 [+0.2, +2.4]", the unit after the first number."""
    return f"{100 * found.difference:+.1f}{unit} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def rounded_p(p: float) -> str:
    """Such as "< 0.001" or "0.012"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_in_words(p: float) -> str:
    """Such as "< 0.001" or "= 0.012"; near the level with places enough to tell on which side it lies."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.045 else f"= {p:.4f}"
