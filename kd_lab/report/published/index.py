"""Keeps the index of studies in experiments/README.md level with the specs and the checked tables beside them."""

from __future__ import annotations

import re
from pathlib import Path

from kd_lab.core import tables
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.tables import MISSING
from kd_lab.report.published.expected import FILE

TABLE = "table.md"  # a checked study's, written by `kd-lab report NAME --check`
BEGIN, END = "<!-- index: made by `kd-lab report --index` -->", "<!-- end of index -->"
_HEADER = ("study", "what it shows", "status", "date", "commit")
_ABOUT = re.compile(  # check_table's `_about`
    r"^Status: (?P<status>[\w ]+) \(.*\)\. Results of (?P<date>\S+), commit (?P<commit>.*?)(, on .*)?\.$", re.MULTILINE
)


def render(experiments: Path) -> str:
    """The index as Markdown: one line a spec; status, date and commit are those that its table.md holds."""
    lines = []
    for spec in sorted(experiments.rglob("*.yaml")):
        name = spec.relative_to(experiments).with_suffix("").as_posix()
        lines.append([_link(experiments, name), _first_comment(spec), *_status(experiments, name)])
    return tables.to_markdown(_HEADER, lines, words=range(len(_HEADER)))


def update(experiments: Path) -> Path:
    """Writes the index between its two marks in `experiments/README.md`.

    Raises:
        UserError: the marks are not there.
    """
    path = experiments / "README.md"
    with disk_errors(path):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            raise UserError(str(path), expected=f"{BEGIN} and {END}", got="a text without them", cure="Put them in.")
        path.write_text(f"{before}{BEGIN}\n{render(experiments)}{END}{after}", encoding="utf-8")
    return path


def _link(experiments: Path, name: str) -> str:
    there = [page for page in (f"{name}/README.md", f"{name}/{TABLE}") if (experiments / page).is_file()]
    return f"[{name}]({there[0]})" if there else name


def _first_comment(spec: Path) -> str:
    """The first comment of a spec that is not Hydra's `@package` line."""
    for line in spec.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ")
    return MISSING


def _status(experiments: Path, name: str) -> tuple[str, str, str]:
    """(status, date, commit)."""
    if not (experiments / name / FILE).is_file():
        return "no published figures", MISSING, MISSING
    table = experiments / name / TABLE
    found = _ABOUT.search(table.read_text(encoding="utf-8")) if table.is_file() else None
    if found is None:
        return "not run", MISSING, MISSING
    return f"[{found['status']}]({name}/{TABLE})", found["date"], found["commit"]
