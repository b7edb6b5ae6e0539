"""Reads `expected.csv`: a published table, one figure a line, and which of our numbers stands against it."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kd_lab.core.errors import UserError
from kd_lab.report.study import measures

FILE = "expected.csv"
COLUMNS = ("row", "column", "metric", "value", "tolerance", "source", "trap")
NOT_RUN = "not run here: "
TEACHER = "teacher"  # ends the label of a row that is read from the cells' teacher
_PATH = re.compile(r"(metrics|fidelity|cost)(\.\w+)+")
_METRIC = re.compile(rf"(?P<path>{_PATH.pattern})(?: (?P<sign>[-/]) (?P<row>\S.*))?")


@dataclass(frozen=True)
class Row:
    """Which cells a label means: "MODEL METHOD", then any `key=value` that their config must hold.

    Args:
        label: model and method as in the study's table, read off the resolved config; "MODEL teacher" means what the
            cells say of their teacher.
        options: dotted option -> value as text.
    """

    label: str
    options: Mapping[str, str]

    @property
    def is_teacher(self) -> bool:
        """Whether it speaks of the cells' teacher."""
        return self.label.endswith(f" {TEACHER}")

    @classmethod
    def parse(cls, text: str) -> Row:
        """Of a label such as "distilbert_mini distilled + onnx_int8 loss.temperature=2"."""
        words = text.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        return cls(" ".join(word for word in words if "=" not in word), options)


@dataclass(frozen=True)
class Metric:
    """Which number of a row: that at `path`, alone, less another row's ("-") or divided by it ("/")."""

    path: str
    sign: str = ""
    other: Row | None = None

    @classmethod
    def parse(cls, text: str) -> Metric | None:
        """Of "cost.size_mib", or "cost.size_mib / distilbert baseline"; None where it is neither."""
        found = _METRIC.fullmatch(text)
        if found is None:
            return None
        return cls(found["path"], found["sign"] or "", Row.parse(found["row"]) if found["row"] else None)


@dataclass(frozen=True)
class Figure:
    """One published figure.

    Args:
        row: which of our rows stands against it.
        column: the heading it has in the published table, with its unit.
        metric: which of our numbers; None where we have none.
        value: as published, a rate as a fraction.
        tolerance: largest difference that counts as reproduced, in the unit of `value`; None where it is not judged.
        reason: why it is not judged; empty where it is.
        source: where it was published.
        trap: where it is weak; may be empty.
    """

    row: str
    column: str
    metric: Metric | None
    value: float
    tolerance: float | None
    reason: str
    source: str
    trap: str


def read(path: Path) -> Sequence[Figure]:
    """The figures of an `expected.csv`, in its order.

    Raises:
        UserError: there is no such file, or a line of it is malformed.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file, strict=True)
            table = [(lines.line_num, line) for line in lines if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        got = "none" if isinstance(error, FileNotFoundError) else str(error)
        cure = f"Write one with the columns {','.join(COLUMNS)}."
        raise UserError(str(path), expected="a table of published figures", got=got, cure=cure) from error
    header = tuple(table[0][1]) if table else ()
    if header != COLUMNS:
        raise _wrong(path, 1, ",".join(COLUMNS), ",".join(header) or "nothing")
    figures = [_figure(path, number, line) for number, line in table[1:]]
    if not figures:
        raise _wrong(path, 2, "a published figure", "none")
    told: set[tuple[str, str]] = set()
    for (number, _), figure in zip(table[1:], figures, strict=True):
        if (figure.row, figure.column) in told:
            raise _wrong(path, number, "each row and column once", f"{figure.row}, {figure.column} again")
        told.add((figure.row, figure.column))
    return figures


def _figure(path: Path, number: int, line: Sequence[str]) -> Figure:
    if len(line) != len(COLUMNS):
        raise _wrong(path, number, f"{len(COLUMNS)} cells", f"{len(line)}; put one with a comma in quotes")
    cell = {name: " ".join(text.split()) for name, text in zip(COLUMNS, line, strict=True)}
    for name in ("row", "column", "source"):
        if not cell[name]:
            raise _wrong(path, number, f"a {name}", "none")
    value = measures.number(cell["value"])
    if value is None:
        raise _wrong(path, number, "a number as value", repr(cell["value"]))
    judged = not cell["tolerance"].startswith(NOT_RUN)
    tolerance = measures.number(cell["tolerance"]) if judged else None
    if judged and (tolerance is None or tolerance < 0):
        raise _wrong(path, number, f"a tolerance from 0, or '{NOT_RUN}REASON'", repr(cell["tolerance"]))
    metric = Metric.parse(cell["metric"])
    if metric is None and (judged or cell["metric"]):
        wanted = "a metric such as metrics.test.accuracy or cost.size_mib / MODEL METHOD"
        raise _wrong(path, number, wanted, repr(cell["metric"]))
    if metric and metric.other and Row.parse(cell["row"]).is_teacher:
        raise _wrong(path, number, "a teacher's own number", f"{cell['metric']}; put the student first")
    reason = cell["tolerance"].removeprefix(NOT_RUN) if not judged else ""
    return Figure(cell["row"], cell["column"], metric, value, tolerance, reason, cell["source"], cell["trap"])


def _wrong(path: Path, number: int, expected: str, got: str) -> UserError:
    cure = "Mend that line; experiments/README.md says what each column holds."
    return UserError(f"{path}, line {number}", expected=expected, got=got, cure=cure)
