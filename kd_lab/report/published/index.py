"""Keeps the indexes of studies, in experiments/README.md and README.md, level with the specs and their tables."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kd_lab.core import tables
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.tables import MISSING
from kd_lab.report.published import kept
from kd_lab.report.published.expected import FILE

TABLE = "table.md"  # a study's, written by `kd-lab report NAME --check` or `--keep`
BEGIN, END = "<!-- index: made by `kd-lab report --index` -->", "<!-- end of index -->"
SHORT_BEGIN, SHORT_END = "<!-- short index: made by `kd-lab report --index` -->", "<!-- end of short index -->"
_HEADER = ("study", "what it shows", "verdict", "date", "commit", "hours")
_NOT_RUN, _NOTHING_PUBLISHED = "not run", "no published figures"
_PAGES = ("README.md", TABLE, "frontier.md")  # of a study, the first that is there
_ABOUT = re.compile(  # check_table's `_about`
    r"^Status: (?P<status>[\w ]+) \(.*\)\. Results of (?P<date>\S+), commit (?P<commit>.*?)(, on .*)?\.$", re.MULTILINE
)


@dataclass(frozen=True)
class _Entry:
    """A line of the index; a link is from experiments/, empty where there is no page."""

    name: str
    page: str
    shows: str
    status: str
    table: str
    date: str
    commit: str
    hours: str


def render(experiments: Path) -> str:
    """The index as Markdown: a line a spec, and a line each folder that has a page and no spec.

    Verdict, date and commit are those that its table.md holds, hours those of its kept rows; of benchmarks, date and
    commit are those of the newest result.
    """
    lines = [
        [_link(one.name, one.page), one.shows, _link(one.status, one.table), one.date, one.commit, one.hours]
        for one in _entries(experiments)
    ]
    return tables.to_markdown(_HEADER, lines, words=range(len(_HEADER) - 1))


def render_short(experiments: Path) -> str:
    """The index for README.md, which lies beside the folder: what has run."""
    found, place = _entries(experiments), experiments.name
    names = {one.name for one in found}
    lines = [
        [_link(one.name, one.page, place), one.shows, _link(one.status, one.table, place)]
        for one in found
        if _has_run(one, found) and one.name.rpartition("/")[0] not in names  # its parent's page speaks of it
    ]
    return tables.to_markdown(("study", "what it shows", "verdict"), lines, words=range(3))


def _has_run(one: _Entry, found: Sequence[_Entry]) -> bool:
    """Whether the study has, or of the studies that its page speaks of any."""
    under = _under(one, found)
    return one.status != _NOT_RUN and (not under or any(other.status != _NOT_RUN for other in under))


def _under(one: _Entry, found: Sequence[_Entry]) -> list[_Entry]:
    return [other for other in found if other.name.startswith(f"{one.name}/")]


def is_kept(experiments: Path) -> bool:
    """Whether the folder has an index: a reader's own need not."""
    path = experiments / "README.md"
    return path.is_file() and BEGIN in path.read_text(encoding="utf-8")


def pages(experiments: Path) -> Sequence[tuple[Path, str]]:
    """Each file that holds an index, with its text as it should be; README.md beside the folder only if it has one.

    Raises:
        UserError: the marks are not there.
    """
    path, readme = experiments / "README.md", experiments.parent / "README.md"
    found = [(path, _between(path, BEGIN, END, render(experiments)))]
    if readme.is_file() and SHORT_BEGIN in readme.read_text(encoding="utf-8"):
        found.append((readme, _between(readme, SHORT_BEGIN, SHORT_END, render_short(experiments))))
    return found


def update(experiments: Path) -> Path:
    """Writes the index between its two marks in `experiments/README.md`, and a short one into README.md.

    Raises:
        UserError: the marks are not there.
    """
    for path, text in pages(experiments):
        with disk_errors(path):
            path.write_text(text, encoding="utf-8")
    return experiments / "README.md"


def _between(path: Path, begin: str, end: str, content: str) -> str:
    with disk_errors(path):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begins, rest = text.partition(begin)
    _, ends, after = rest.partition(end)
    if not begins or not ends:
        raise UserError(str(path), expected=f"{begin} and {end}", got="a text without them", cure="Put them in.")
    return f"{before}{begin}\n{content}{end}{after}"


def _entries(experiments: Path) -> Sequence[_Entry]:
    specs = {spec.relative_to(experiments).with_suffix("").as_posix(): spec for spec in experiments.rglob("*.yaml")}
    alone = {page.parent.relative_to(experiments).as_posix() for page in experiments.rglob("*/README.md")}
    names = sorted({*specs, *alone})
    found = [_entry(experiments, name, specs.get(name)) for name in names]
    return [one if one.name in specs else replace(one, status=_verdicts_under(one, found)) for one in found]


def _verdicts_under(one: _Entry, found: Sequence[_Entry]) -> str:
    """How often each verdict was come to by the studies of a folder, such as "2 reproduced, 1 partly"."""
    verdicts = Counter(other.status for other in _under(one, found))
    for none in (MISSING, _NOTHING_PUBLISHED):
        del verdicts[none]
    return ", ".join(f"{times} {verdict}" for verdict, times in verdicts.most_common()) or MISSING


def _entry(experiments: Path, name: str, spec: Path | None) -> _Entry:
    folder = experiments / name
    there = [page for page in _PAGES if (folder / page).is_file()]
    shows = _first_line(spec, "#") if spec else _first_line(folder / "README.md", "# ")
    date, commit, hours = MISSING, MISSING, MISSING
    rows = folder / kept.FILE
    if not spec:
        date, commit = _newest(folder)
    if (folder / TABLE).is_file():
        hours = "rows not kept"
    if rows.is_file():
        date, commits, spent = kept.made(rows)
        commit, hours = ", ".join(commits), f"{spent:.1f}"
    status, table = (_NOTHING_PUBLISHED if spec else MISSING), ""
    if (folder / FILE).is_file():
        found = _ABOUT.search((folder / TABLE).read_text(encoding="utf-8")) if (folder / TABLE).is_file() else None
        status = found["status"] if found else _NOT_RUN
        if found:
            table, date, commit = f"{name}/{TABLE}", found["date"], found["commit"]
    return _Entry(name, f"{name}/{there[0]}" if there else "", shows, status, table, date, commit, hours)


def _newest(folder: Path) -> tuple[str, str]:
    """(day, commit) of the newest of a benchmark's results."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("result.json")]
    dated = [(one["date"][:10], one.get("git_commit") or MISSING) for one in found if one.get("date")]
    day, commit = max(dated, default=(MISSING, MISSING))
    return day, kept.shortened(commit)


def _link(text: str, page: str, place: str = "") -> str:
    return f"[{text}]({place and f'{place}/'}{page})" if page else text


def _first_line(file: Path, start: str) -> str:
    """The first heading of a page or comment of a spec that is not Hydra's `@package` line, without its signs."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith(start) and "@package" not in line), MISSING)
