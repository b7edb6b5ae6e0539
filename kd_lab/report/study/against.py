"""A study's settings held against one of them: what each change is worth, such as in an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kd_lab.core import tables
from kd_lab.core.errors import UserError
from kd_lab.core.tables import MISSING
from kd_lab.report.study.accuracy import percent, spread
from kd_lab.report.study.answers import predictions_by_run
from kd_lab.report.study.comparisons import SettingComparison, compared, corrected, p_in_words, points, seeds_noise
from kd_lab.report.study.data_sets import data_sets
from kd_lab.report.study.settings import Setting

if TYPE_CHECKING:
    from rich.table import Table

HEAD = ("setting", "seeds", "test accuracy", "points more", "corrected p")
_WORDS = (0, 4)
_SHOWN = 5  # labels that an error lists


@dataclass(frozen=True)
class Against:
    """A reference, and each other setting of its data set less it, in the study's order."""

    reference: Setting
    differences: Sequence[SettingComparison]


def against(study: Path, settings: Sequence[Setting], given: str) -> Against:
    """Holds all settings of a data set against one, on the same test rows, seed by seed.

    Args:
        study: its folder.
        settings: all of them.
        given: the reference's label, or as much of it as no other setting has: "change=none".

    Raises:
        UserError: no setting that finished is called so, or several are.
    """
    finished = [setting for setting in settings if setting.cells]
    asked = set(given.split())
    exact = [setting for setting in finished if setting.label == given]
    found = exact or [setting for setting in finished if asked and asked <= set(setting.label.split())]
    if len(found) != 1:
        labels = [setting.label for setting in found or finished]
        more = ", ..." if len(labels) > _SHOWN else ""
        raise UserError(
            "--against",
            expected="the label of one setting that finished",
            got=f"{given!r}, which is that of {len(found) or 'none'}",
            cure=f"Give one of: {', '.join(map(repr, labels[:_SHOWN]))}{more}.",
        )
    [reference] = found
    [block] = [block for block in data_sets(finished) if reference in block.settings]
    others = [setting for setting in block.settings if setting is not reference]
    noise, own = seeds_noise(reference, block.settings), predictions_by_run(study, reference)
    held = [compared(predictions_by_run(study, other), own, noise) for other in others]
    return Against(reference, corrected(others, held))


def to_rich(found: Against) -> Table:
    """The table for the terminal."""
    return tables.to_rich(f"against {found.reference.label}", HEAD, _lines(found), words=_WORDS)


def to_markdown(found: Against, command: str) -> str:
    """The page, which says what made it."""
    return (
        f"# Against {found.reference.label}\n\nMade by `{command}`; not to be edited.\n\n"
        f"{tables.to_markdown(HEAD, _lines(found), words=_WORDS)}\n"
        "*Points more*: a setting's test accuracy less that of the first row, in pairs on the same rows, seed by\n"
        "seed, with its 95 % interval; *corrected p*: for all settings that were held against it (Holm).\n"
    )


def _lines(found: Against) -> list[tuple[str, ...]]:
    return [_line(found.reference, MISSING, MISSING), *map(_difference, found.differences)]


def _difference(one: SettingComparison) -> tuple[str, ...]:
    if one.comparison is None or one.p_corrected is None:
        return _line(one.setting, MISSING, one.why)
    return _line(one.setting, points(one.comparison), p_in_words(one.p_corrected).removeprefix("= "))


def _line(setting: Setting, *told: str) -> tuple[str, ...]:
    return setting.label, str(len(setting.cells)), percent(spread(setting)), *told
