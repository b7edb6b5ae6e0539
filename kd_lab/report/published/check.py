"""Holds a study against a published table: ours, theirs, the difference and a verdict for each figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.evaluation.intervals import Spread
from kd_lab.report.published import kept
from kd_lab.report.published.equivalence import BETTER, INCONCLUSIVE, REPRODUCED, WORSE, estimate, verdict
from kd_lab.report.published.expected import FILE, NOT_RUN, Figure, read
from kd_lab.report.published.measured import bounds, higher_is_better, measured
from kd_lab.report.study.collect import study


@dataclass(frozen=True)
class ComparedFigure:
    """A published figure beside ours.

    Args:
        figure: theirs.
        ours: over the runs, with the interval of their mean, in which both other seeds and other rows have a part; of a
            single run the interval of the test rows, where its result has one. None where there is no number of ours.
        verdict: one of those of `equivalence.verdict`, or "not run here: " and why.
        why: it is inconclusive, where the result does not say how far the number is to be trusted; else empty.
    """

    figure: Figure
    ours: Spread | None
    verdict: str
    why: str = ""

    @property
    def difference(self) -> float | None:
        """Ours less theirs, in the unit of `figure.value`."""
        return None if self.ours is None else self.ours.mean - self.figure.value


@dataclass(frozen=True)
class Check:
    """A published table held against a study.

    Args:
        name: the study.
        rows: every figure, in the order of `expected.csv`.
        cells: the study's results.
        date: the day of the newest result, UTC.
    """

    name: str
    rows: Sequence[ComparedFigure]
    cells: Sequence[RunResult]
    date: str

    @property
    def missed(self) -> bool:
        """Whether a figure was missed: ours is worse, by more than the tolerance and by more than chance."""
        return self._count(WORSE) > 0

    @property
    def status(self) -> str:
        """ "reproduced" (every figure, or better), "partly", "not" (none, one worse), "inconclusive", "not run"."""
        good = self._count(REPRODUCED) + self._count(BETTER)
        if good == len(self.rows):
            return "reproduced"
        if good or self.missed:
            return "partly" if good else "not"
        return INCONCLUSIVE if self._count(INCONCLUSIVE) else "not run"

    @property
    def summary(self) -> str:
        """How many figures have which verdict, in words."""
        counts = {verdict: self._count(verdict) for verdict in (REPRODUCED, BETTER, INCONCLUSIVE, WORSE)}
        counts["not run here"] = len(self.rows) - sum(counts.values())
        return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + f" of {len(self.rows)}"

    def _count(self, verdict: str) -> int:
        return sum(row.verdict == verdict for row in self.rows)


def check(multirun: Path, name: str, experiments: Path) -> Check:
    """Holds the results of study `name` against `experiments/<name>/expected.csv`.

    Raises:
        UserError: no such study, no `expected.csv` or a malformed one, or a row that means several settings.
    """
    path = experiments / name / FILE
    if not path.is_file():
        there = sorted(found.parent.relative_to(experiments).as_posix() for found in experiments.rglob(FILE))
        raise UserError(
            f"study {name!r}",
            expected=f"published figures to check, as {', '.join(there) or 'no study'} has",
            got=f"no {path}",
            cure="Choose one of these studies, or write that file.",
        )
    figures, cells = read(path), study(multirun, name)
    rows = [compare_figure(figure, cells, multirun / name) for figure in figures]
    return Check(name, rows, cells, kept.newest_day(multirun / name, cells))


def compare_figure(figure: Figure, cells: Sequence[RunResult], study: Path | None = None) -> ComparedFigure:
    """One figure against the cells of a study, see `equivalence.verdict`.

    Args:
        figure: the published one.
        cells: of the study.
        study: their folder, whose predictions tell how far a change between two models depends on the rows.

    Raises:
        UserError: its row means cells that differ in more than their seeds.
    """
    found = measured(figure, cells, study)
    if not found.values or figure.metric is None:
        return ComparedFigure(figure, None, NOT_RUN + (figure.reason or found.why))
    held = estimate(found.values, found.row_error, bounds(figure.metric))
    ours = held.spread()
    if held.n == 1 and found.interval:
        ours = Spread(held.mean, None, *found.interval, 1)
    if figure.tolerance is None or found.why:
        return ComparedFigure(figure, ours, NOT_RUN + (figure.reason or found.why))
    verdict_word = verdict(held, figure.value, figure.tolerance, higher_is_better(figure.metric.path))
    return ComparedFigure(figure, ours, verdict_word, found.unknown)
