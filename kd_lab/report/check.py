"""Holds a study against a published table: ours, theirs, the difference and a verdict for each figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kd_lab import results
from kd_lab.errors import UserError
from kd_lab.report.collect import study
from kd_lab.report.expected import FILE, NOT_RUN, Figure, read
from kd_lab.report.measured import measured
from kd_lab.results import RunResult
from kd_lab.significance import Spread, over_seeds

REPRODUCED, WITHIN, MISSED = "reproduced", "within the interval", "missed"


@dataclass(frozen=True)
class Judged:
    """A published figure beside ours.

    Args:
        figure: theirs.
        ours: over the seeds, with the t interval of their mean; of a single seed the interval of the test rows, where
            its result has one. None where there is no number of ours.
        verdict: "reproduced" (the difference is within the tolerance), "within the interval" (beyond the tolerance,
            but theirs lies in our interval), "missed", or "not run here: " and why.
    """

    figure: Figure
    ours: Spread | None
    verdict: str

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
    rows: Sequence[Judged]
    cells: Sequence[RunResult]
    date: str

    @property
    def missed(self) -> bool:
        """Whether a figure was missed."""
        return self._count(MISSED) > 0

    @property
    def status(self) -> str:
        """ "reproduced" (every figure), "partly", "not" (every judged one missed) or "not run" (none judged)."""
        good = self._count(REPRODUCED) + self._count(WITHIN)
        if good == len(self.rows):
            return "reproduced"
        return "partly" if good else "not" if self.missed else "not run"

    @property
    def summary(self) -> str:
        """How many figures have which verdict, in words."""
        counts = {verdict: self._count(verdict) for verdict in (REPRODUCED, WITHIN, MISSED)}
        counts["not run here"] = len(self.rows) - sum(counts.values())
        return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count) + f" of {len(self.rows)}"

    @property
    def commits(self) -> Sequence[str]:
        """The commits that the results were made at, each once, shortened."""
        found = (cell.git_commit or "unknown" for cell in self.cells)
        return list(dict.fromkeys(text[:7] + "-dirty" * text.endswith("-dirty") for text in found))

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
    newest = max((multirun / name / cell.cell / results.FILE).stat().st_mtime for cell in cells)
    date = datetime.fromtimestamp(newest, UTC).date().isoformat()
    return Check(name, [judge(figure, cells) for figure in figures], cells, date)


def judge(figure: Figure, cells: Sequence[RunResult]) -> Judged:
    """One figure against the cells of a study.

    Raises:
        UserError: its row means cells that differ in more than their seed.
    """
    found = measured(figure, cells)
    ours = over_seeds(found.values) if found.values else None
    if ours and ours.n == 1 and found.interval:
        ours = Spread(ours.mean, None, *found.interval, 1)
    if ours is None or figure.tolerance is None or found.why:
        return Judged(figure, ours, NOT_RUN + (figure.reason or found.why))
    if abs(ours.mean - figure.value) <= figure.tolerance:
        return Judged(figure, ours, REPRODUCED)
    inside = ours.low is not None and ours.high is not None and ours.low <= figure.value <= ours.high
    return Judged(figure, ours, WITHIN if inside else MISSED)
