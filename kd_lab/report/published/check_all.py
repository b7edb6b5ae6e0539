"""Makes every committed table anew from the rows beside it, and says where it would be another one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from kd_lab.core.errors import UserError
from kd_lab.core.paths import root
from kd_lab.report.published import check_table, expected, index, kept, overview
from kd_lab.report.published.check import check
from kd_lab.report.study import study_report
from kd_lab.report.study.collect import study
from kd_lab.report.study.documents import write_texts
from kd_lab.report.study.shown import markdown

_SAYS = "as its rows say"
_SHOWN = 160  # letters of a line


@dataclass(frozen=True)
class Outcome:
    """What became of one table.

    Args:
        name: the study, or the file of the index.
        said: in a few words.
        changed: whether what is committed is not what its rows say today.
    """

    name: str
    said: str
    changed: bool = False


def check_all(experiments: Path) -> Sequence[Outcome]:
    """Every table under a folder like experiments/ against its rows, and its index, where it has one.

    A table without rows cannot be made anew; that is said, and fails nothing. Tables of a frontier are made of its CSV;
    those of benchmarks by the module `table` beside them, in kd_lab's own checkout, since nobody else's code is run.

    Raises:
        UserError: rows or an `expected.csv` are damaged, or there is no table.
    """
    names = {path.parent for file in (kept.FILE, expected.FILE, index.TABLE) for path in experiments.rglob(file)}
    tables = [_of_study(experiments, folder) for folder in sorted(names)]
    tables += [_of_frontier(experiments, path) for path in sorted(experiments.rglob("frontier.csv"))]
    if not tables:
        cure = "Name the folder with --experiments DIR."
        raise UserError(str(experiments), expected="tables that were kept", got="none", cure=cure)
    if experiments.resolve() == root() / "experiments":
        tables += [_of_benchmark(experiments, path) for path in sorted(experiments.rglob("table.py"))]
    indexes = index.pages(experiments) if index.is_kept(experiments) else []
    stale = [path for path, text in indexes if path.read_text(encoding="utf-8") != text]
    return [*tables, *(Outcome(path.name, "the index is another: kd-lab report --index", True) for path in stale)]


def pages(name: str, multirun: Path, experiments: Path) -> Mapping[str, str]:
    """File -> text of what is committed of a study: its table, held against what was published where something was.

    And its gains of distillation, where there are any.
    """
    report = study_report.write(multirun, name, figures=False)
    table = markdown(report)
    if (experiments / name / expected.FILE).is_file():
        table = check_table.to_text(check(multirun, name, experiments), f"kd-lab report {name} --check")
    worth = overview.gains_csv(report.gains)
    return {index.TABLE: table} | ({overview.GAINS: worth} if worth else {})


def keep(multirun: Path, name: str, experiments: Path) -> Sequence[Path]:
    """Writes a study's table and rows where they are committed.

    Raises:
        UserError: no such study, a file of it is damaged, or there is no room to write.
    """
    folder = experiments / name
    kept.keep(multirun / name, study(multirun, name), folder / kept.FILE)
    return [*write_texts(folder, pages(name, multirun, experiments)), folder / kept.FILE]


def _of_frontier(experiments: Path, path: Path) -> Outcome:
    from kd_lab.report.release import frontier_table

    page = path.with_suffix(".md")
    there = page.read_text(encoding="utf-8") if page.is_file() else ""
    others = [table for table in frontier_table.to_tables(frontier_table.from_csv(path)) if table not in there]
    lines = (line for line in "".join(others).splitlines() if line not in there)
    said = f"by {path.name}: {next(lines, 'other lines')[:_SHOWN]}" if others else _SAYS
    return Outcome(page.relative_to(experiments).as_posix(), said, bool(others))


def _of_benchmark(experiments: Path, path: Path) -> Outcome:
    name = path.parent.relative_to(experiments).as_posix()
    module = ".".join([experiments.name, *name.split("/"), path.stem])
    line = [sys.executable, "-m", module, "--check"]
    ran = subprocess.run(line, cwd=experiments.parent, capture_output=True, text=True, check=False)  # noqa: S603
    why = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Outcome(name, _SAYS if ran.returncode == 0 else f"{why}: python -m {module}", ran.returncode != 0)


def _of_study(experiments: Path, folder: Path) -> Outcome:
    name, rows = folder.relative_to(experiments).as_posix(), folder / kept.FILE
    if not rows.is_file():
        table = (folder / index.TABLE).is_file()
        return Outcome(name, "not checked: its rows were not kept" if table else "not run")
    with TemporaryDirectory() as place:
        found = kept.restore(rows, Path(place))
        if found != name:
            return Outcome(name, f"its rows are those of {found}", True)
        texts = pages(name, Path(place), experiments)
    for file, now in texts.items():
        path = folder / file
        if not path.is_file():
            return Outcome(name, f"rows without {file}: kd-lab report {name} --keep", True)
        if (there := path.read_text(encoding="utf-8")) != now:
            return Outcome(name, _first_difference(there, now), True)
    return Outcome(name, _SAYS)


def _first_difference(there: str, now: str) -> str:
    pairs = zip_longest(there.splitlines(), now.splitlines(), fillvalue="nothing")
    one, other = next((pair for pair in pairs if pair[0] != pair[1]), ("", "another end"))
    return f"committed: {one[:_SHOWN]}; by its rows: {other[:_SHOWN]}"
