"""A check as a table: for the terminal, and as the Markdown that is committed beside the published figures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.tables import MISSING
from kd_lab.pipeline.summary_table import to_markdown
from kd_lab.report.published.check import Check, ComparedFigure
from kd_lab.report.published.equivalence import WORSE
from kd_lab.report.published.expected import NOT_RUN
from kd_lab.report.published.kept import commits
from kd_lab.report.study import measures

COLUMNS = ("row", "column", "ours", "n", "95 % interval", "theirs", "difference", "tolerance", "verdict", "trap")
_WORDS = [COLUMNS.index(name) for name in ("row", "column", "verdict", "trap")]


def rows(check: Check) -> Sequence[Sequence[str]]:
    """The cells of the table, a line a figure; a number has as many places as the published one's size asks for."""
    return [_row(judged) for judged in check.rows]


def to_rich(check: Check) -> Table:
    """The table for the terminal; a figure that was missed is red."""
    styles = [
        "red" if judged.verdict == WORSE else "dim" if judged.verdict.startswith(NOT_RUN) else ""
        for judged in check.rows
    ]
    title = f"{check.name} against the published table"
    return tables.to_rich(title, COLUMNS, rows(check), words=_WORDS, styles=styles, caption=_about(check))


def to_text(check: Check, command: str) -> str:
    """The whole Markdown page: verdicts, sources, and the study's own table.

    Args:
        command: what made it.
    """
    table = tables.to_markdown(COLUMNS, rows(check), words=_WORDS)
    told = dict.fromkeys(judged.figure.source for judged in check.rows)
    sources = tables.bullets(told)
    return (
        f"# {check.name}: ours against the published table\n\n"
        f"Made by `{command}`; not to be edited.\n\n{_about(check)}\n\n{table}\n"
        f"`ours` is mean ± standard deviation over n runs, with an interval in which other seeds and other rows have a "
        f"part; of one run it is that of the rows it was judged on, and silent about other seeds. `theirs` is the "
        f"published figure. *Reproduced*: the 90 % interval lies within the tolerance (two one-sided tests); *better* "
        f"and *worse*: it lies wholly on that side, worse beyond the tolerance; else *inconclusive*.\n\n"
        f"Sources:\n\n{sources}\n## Every row of the study\n\n{to_markdown(check.cells)}"
    )


def _about(check: Check) -> str:
    """What the index of experiments reads back, so in one fixed form."""
    machines = dict.fromkeys(filter(None, map(measures.timed_on, check.cells)))
    on = f", on {'; '.join(machines)}" if machines else ""
    made = ", ".join(commits(check.cells))
    return f"Status: {check.status} ({check.summary}). Results of {check.date}, commit {made}{on}."


def _row(judged: ComparedFigure) -> Sequence[str]:
    figure, ours = judged.figure, judged.ours
    mean = spread = difference = MISSING
    if ours is not None:
        mean = _text(ours.mean, figure.value)
        mean += f" ± {_text(ours.sd, figure.value)}" if ours.sd is not None else ""
        if ours.low is not None and ours.high is not None:
            spread = f"{_text(ours.low, figure.value)} to {_text(ours.high, figure.value)}"
        difference = _text(ours.mean - figure.value, figure.value, sign="+")
    tolerance = MISSING if figure.tolerance is None else f"{figure.tolerance:,g}"
    n = MISSING if ours is None else str(ours.n)
    theirs = _text(figure.value, figure.value)
    trap = figure.trap or MISSING
    outcome = f"{judged.verdict}: {judged.why}" if judged.why else judged.verdict
    return figure.row, figure.column, mean, n, spread, theirs, difference, tolerance, outcome, trap


def _text(number: float, like: float, sign: str = "") -> str:
    """A number with the places that one of the size of `like` needs; a rate and a ratio have four."""
    size = abs(like)
    places = 0 if size >= 1e4 else 1 if size >= 100 else 2 if size >= 2 else 4
    return f"{number:{sign},.{places}f}"
