"""A study's settings as a table, a row each: mean, spread and number of seeds, and how each stands to the best."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from kd_lab.core import tables
from kd_lab.core.results import RunResult
from kd_lab.core.tables import MISSING, milliseconds, one_line
from kd_lab.evaluation.intervals import over_seeds
from kd_lab.pipeline.summary_table import MICRO, shows, shows_balanced
from kd_lab.report.study import measures
from kd_lab.report.study.accuracy import percent, spread
from kd_lab.report.study.comparisons import rounded_p
from kd_lab.report.study.data_sets import data_sets
from kd_lab.report.study.gain import Gain
from kd_lab.report.study.measures import Measure
from kd_lab.report.study.settings import Setting, short_names, short_value
from kd_lab.report.study.verdict import Verdict

_F1 = Measure("macro-F1", "%", "metrics.test.f1_macro", 100)
_BALANCED = Measure("balanced accuracy", "%", "metrics.test.balanced_accuracy", 100)
_BESIDE = (measures.VALIDATION, _F1, measures.AGREEMENT, measures.SIZE, measures.LATENCY)
_OF_LABELS = (  # of rows that may bear several labels, whose accuracy is the share of rows with all of them right
    Measure("micro-F1", "%", "metrics.test.f1_micro", 100),
    Measure("mAP", "%", "metrics.test.mean_average_precision", 100),
)
_SPARE = (_BALANCED, _F1, measures.AGREEMENT, measures.LATENCY, measures.SIZE, measures.VALIDATION)
BEST = "best"
AGAINST = "p against best"


def rows(settings: Sequence[Setting], verdicts: Sequence[Verdict]) -> list[dict[str, str]]:
    """A row for each setting, all with the same columns in the same order.

    Columns are the axes; seeds, those that finished of those that ran; test accuracy as mean ± standard deviation
    with its 95 % interval, over seeds where there are several, over test rows where there is one; of several
    settings the corrected p of the comparison with the best; other numbers as mean ± standard deviation, balanced
    accuracy among them where a cell `shows_balanced`.
    """
    held = standing(verdicts)
    cells = [cell for setting in settings for cell in setting.cells]
    more = [] if not any(map(shows_balanced, cells)) else [_BALANCED]
    more += _OF_LABELS if any(MICRO in shows(cell) for cell in cells) else []
    beside = [measure for one in _BESIDE for measure in ([*more, one] if one is _F1 else [one])]
    found = []
    for setting in settings:
        ran = len(setting.cells) + len(setting.failed)
        short = short_names(list(setting.values))
        row = {short[axis]: short_value(value) for axis, value in setting.values.items()} or {"setting": setting.label}
        row["seeds"] = str(ran) if not setting.failed else f"{len(setting.cells)} of {ran}"
        accuracy = spread(setting)
        row["test accuracy"] = MISSING if accuracy is None else percent(accuracy)
        if len(settings) > 1:
            row[AGAINST] = held.get(id(setting), MISSING)
        found.append(row | {_head(measure): _short(setting, measure) for measure in beside})
    return found


def standing(verdicts: Sequence[Verdict]) -> dict[int, str]:
    """id of a setting -> "best", or the corrected p of its comparison with the best and which way it went."""
    told = {}
    for verdict in verdicts:
        if verdict.best is not None and verdict.tried > 1:
            told[id(verdict.best)] = BEST
        for other in verdict.others:
            if other.p_corrected is not None:
                way = {1: " worse", 0: "", -1: " better"}[other.sign]
                told[id(other.setting)] = rounded_p(other.p_corrected) + way
    return told


def notes(cells: Sequence[RunResult], settings: Sequence[Setting] = ()) -> list[str]:
    """Each cell that failed or was pruned, with the reason; the teachers; doubtful times; every warning once."""
    lost = [f"{cell.cell} {cell.status}: {one_line(cell.error)}" for cell in cells if cell.status != "finished"]
    teachers = [
        f"teacher {cell.teacher.get('model')}: test accuracy {100 * test['accuracy']:.1f} %"
        for cell in cells
        if (test := cell.teacher.get("metrics", {}).get("test")) and "accuracy" in test
    ]
    told = measures.timing(settings)
    return list(dict.fromkeys([*lost, *teachers, *told, *(one_line(text) for cell in cells for text in cell.warnings)]))


def to_rich(settings: Sequence[Setting], verdicts: Sequence[Verdict], title: str) -> list[Table]:
    """The tables for the terminal, one a data set."""
    blocks = data_sets(settings)
    return [_rich(block.settings, verdicts, f"{title}: {block.name}" if len(blocks) > 1 else title) for block in blocks]


def _rich(settings: Sequence[Setting], verdicts: Sequence[Verdict], title: str) -> Table:
    body = rows(settings, verdicts)
    styles = ["bold" if row.get(AGAINST) == BEST else "" for row in body]
    lines = [list(row.values()) for row in body]
    head = list(body[0] if body else ())
    spare = [_head(measure) for measure in _SPARE]
    return tables.to_rich(title, head, lines, words=_words(settings), spare=spare, styles=styles)


def to_markdown(
    settings: Sequence[Setting], verdicts: Sequence[Verdict], remarks: Sequence[str], gains: Sequence[Gain] = ()
) -> str:
    """The table as GitHub shows it, verdicts, gains and what else is `remarks` under it; ends with a line break.

    There is one a data set, under its name.
    """
    blocks = data_sets(settings)
    found = [
        (f"### {block.name}\n\n" if len(blocks) > 1 else "") + _markdown(block.settings, verdicts) for block in blocks
    ]
    told = [*(one.text for one in verdicts), *(one.text for one in gains)]
    verdict = "".join(f"\n{text}\n" for text in told)
    return "\n".join(found) + verdict + (f"\n{tables.bullets(remarks)}" if remarks else "")


def _markdown(settings: Sequence[Setting], verdicts: Sequence[Verdict]) -> str:
    body = rows(settings, verdicts)
    lines = (list(row.values()) for row in body)
    return tables.to_markdown(list(body[0] if body else ("setting",)), lines, words=_words(settings))


def _words(settings: Sequence[Setting]) -> range:
    """The columns that say what a row is."""
    return range(max(1, len(settings[0].values)) if settings else 1)


def _head(measure: Measure) -> str:
    return measure.name if measure.unit == "%" else f"{measure.name} {measure.unit}"


def _short(setting: Setting, measure: Measure) -> str:
    found = setting.over_seeds(measure.path)
    if not found:
        return MISSING
    over = over_seeds([measure.scale * number for number in found])
    mean = milliseconds(over.mean) if measure.unit == "ms" else f"{over.mean:.1f}"
    places = len(mean.partition(".")[2])
    unit = " %" if measure.unit == "%" else ""
    return f"{mean}{unit}" + ("" if over.sd is None else f" ± {over.sd:.{places}f}")
