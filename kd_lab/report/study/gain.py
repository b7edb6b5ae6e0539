"""What distillation is worth: a student that learned from the teacher against the same one that had labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kd_lab.core.option_roles import is_seed
from kd_lab.core.results import RunResult
from kd_lab.evaluation.paired_tests import Comparison, Predictions, holm
from kd_lab.pipeline.summary_table import flat_options, method
from kd_lab.report.study import measures
from kd_lab.report.study.comparisons import compared, p_in_words, points, seeds_noise, tests_where_chosen
from kd_lab.report.study.data_sets import DataSet, data_sets, told_apart
from kd_lab.report.study.runs import Run
from kd_lab.report.study.settings import Setting

BASELINE, DISTILLED = "baseline", "distilled"


@dataclass(frozen=True)
class Gain:
    """Distillation against labels alone, for one student on one data set, both uncompressed.

    Args:
        data_set: its name.
        student: the model's name, with the options that tell it from others of the study that bear it.
        distilled, baseline: of several each, those of the highest validation accuracy.
        comparison: distilled less baseline on the test rows.
        p_corrected: its p, corrected for all gains of the data set; with several seeds for all pairs of settings.
        text: all this in one line.
    """

    data_set: str
    student: str
    distilled: Setting
    baseline: Setting
    comparison: Comparison
    p_corrected: float
    text: str


def gains(settings: Sequence[Setting], predictions: Sequence[Mapping[Run, Predictions]]) -> list[Gain]:
    """The gain of every student that a study has both ways, data set by data set.

    Args:
        settings: of the study.
        predictions: of each setting, by run.
    """
    by_setting = {id(setting): one for setting, one in zip(settings, predictions, strict=True)}
    blocks = data_sets([setting for setting in settings if setting.cells])
    return [gain for block in blocks for gain in _of(block, by_setting, len(blocks) > 1)]


def _of(block: DataSet, predictions: Mapping[int, Mapping[Run, Predictions]], several: bool) -> list[Gain]:
    students: dict[tuple[tuple[str, str], ...], dict[str, list[Setting]]] = {}  # options of the model, seeds left out
    for setting in block.settings:
        cell = setting.cells[0]
        students.setdefault(_student(cell), {}).setdefault(method(cell.config), []).append(setting)
    found: list[tuple[Setting, Setting, Comparison, str]] = []
    for ways in students.values():
        sides = [ways.get(way, []) for way in (DISTILLED, BASELINE)]
        distilled, baseline = (measures.highest(side) for side in sides)
        if distilled is None or baseline is None:
            continue
        noise = seeds_noise(distilled, block.settings)
        comparison, _ = compared(predictions[id(distilled)], predictions[id(baseline)], noise)
        if comparison is not None:
            of = f" ({distilled.label} less {baseline.label}, chosen on validation)" if max(map(len, sides)) > 1 else ""
            found.append((distilled, baseline, comparison, of))
    comparisons = [comparison for _, _, comparison, _ in found]
    corrected = holm([one.p for one in comparisons], tests_where_chosen(len(block.settings), comparisons))
    options = [dict(_student(distilled.cells[0])) for distilled, *_ in found]
    names = told_apart([one.get("name", "") for one in options], options)
    where = f"{block.name}: " if several else ""
    return [
        Gain(block.name, name, distilled, baseline, comparison, p, where + _in_words(name, comparison, of, p))
        for name, (distilled, baseline, comparison, of), p in zip(names, found, corrected, strict=True)
    ]


def _in_words(student: str, comparison: Comparison, of: str, p_corrected: float) -> str:
    runs = "one seed" if comparison.n == 1 else f"{comparison.n} runs"
    return (
        f"gain of distillation, {student}: {points(comparison, ' points')} of test accuracy over labels alone{of}, "
        f"corrected p {p_in_words(p_corrected)}, {runs}"
    )


def _student(cell: RunResult) -> tuple[tuple[str, str], ...]:
    model = flat_options(cell.config.get("model") or {})
    return tuple(sorted((key, str(value)) for key, value in model if not is_seed(key)))
