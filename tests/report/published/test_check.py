"""A study held against hand-made published figures: which numbers are taken, what the verdict is, what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kd_lab.__main__ import command
from kd_lab.cli import report as verb
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.evaluation.predictions import FILE
from kd_lab.pipeline.summary_table import method
from kd_lab.report.published import check_table, index, kept
from kd_lab.report.published.check import Check, check, compare_figure
from kd_lab.report.published.expected import COLUMNS, Figure, Metric, read
from kd_lab.report.study.collect import studies

NAME = "paper/toy"
HYBRID = {"_target_": "kd_lab.losses.hybrid.Hybrid", "alpha": 0.5, "temperature": 2}


def cell(accuracy: float | None, seed: int = 0, **changes: Any) -> RunResult:
    """A distilled student's; `steps`, `temperature`, `timing` and `contended` tell cells apart."""
    steps, temperature = changes.pop("steps", ()), changes.pop("temperature", 2)
    timing, contended = changes.pop("timing", "t"), changes.pop("contended", False)
    made, half = f"{steps}{temperature}{seed}", changes.pop("half", 0.001)
    fields: dict[str, Any] = {
        "name": NAME,
        "cell": f"{made}{timing}",
        "status": "finished" if accuracy is not None else "failed",
        "config": {
            "seed": seed,
            "model": {"name": "small"},
            "loss": {**HYBRID, "temperature": temperature},
            "compression": dict.fromkeys(steps),
            "teacher": {"seed": 0},
        },
        "fingerprint": {"compressed": made},
        "git_commit": "0123456789abcdef",
        "metrics": {"test": {"accuracy": accuracy, "accuracy_interval": [accuracy - half, accuracy + half]}}
        if accuracy is not None
        else {},
        "cost": {
            "size_mib": 2.0 if steps else 8.0,
            "latency_ms": {"p50": 3.0},
            "timing": timing,
            "contended": contended,
        },
        "teacher": {
            "model": "big",
            "fingerprint": "big0",
            "metrics": {"test": {"accuracy": 0.95, "accuracy_interval": [0.94, 0.96]}},
            "cost": {"latency_ms": {"p50": 12.0}},
        },
    }
    return RunResult(**{**fields, **changes})


def figure(value: float, tolerance: float | None = 0.01, row: str = "small distilled", **changes: Any) -> Figure:
    metric = Metric.parse(changes.pop("metric", "metrics.test.accuracy"))
    fields = {"column": "accuracy", "reason": "", "source": "a paper", "trap": "one seed"}
    return Figure(row=row, metric=metric, value=value, tolerance=tolerance, **{**fields, **changes})


SEEDS = [cell(accuracy, seed) for seed, accuracy in enumerate((0.80, 0.82, 0.84))]


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (0.82, "reproduced"),
        (0.829, "inconclusive"),
        (0.86, "inconclusive"),
        (0.91, "worse"),
        (0.76, "better than published"),
    ],
)
def test_the_verdict_is_that_of_two_one_sided_tests_against_the_tolerance(value: float, verdict: str) -> None:
    """By hand: mean .82, error .02 / sqrt 3, so 90 % lie within ± 2.92 * .0115 = .034 and 95 % within .0497."""
    judged = compare_figure(figure(value, 0.04), SEEDS)
    assert judged.verdict == verdict
    assert (judged.ours.n, judged.ours.mean, judged.ours.sd) == (3, pytest.approx(0.82), pytest.approx(0.02))
    assert judged.ours.low == pytest.approx(0.82 - 0.0497, abs=0.006)  # of the logit: less far up, farther down
    assert judged.difference == pytest.approx(0.82 - value)


def test_a_single_seed_has_the_interval_of_its_test_rows() -> None:
    judged = compare_figure(figure(0.81, 0.02), [cell(0.8, half=0.1)])
    assert judged.verdict == "inconclusive"
    assert (judged.ours.low, judged.ours.high) == pytest.approx((0.7, 0.9))
    assert (judged.ours.sd, judged.ours.n) == (None, 1)
    assert compare_figure(figure(0.81, 0.02), [cell(0.8, half=0.005)]).verdict == "reproduced"


def test_fewer_seeds_make_a_verdict_harder_and_not_easier() -> None:
    """Two seeds at 80 and 84 % were within the interval of anything from 57 to 107 %."""
    two = [cell(0.80, 0), cell(0.84, 1)]
    many = [cell(0.80 + 0.04 * (seed % 2), seed) for seed in range(20)]
    for value in (0.75, 0.82, 0.9):
        assert compare_figure(figure(value, 0.015), two).verdict == "inconclusive"
    assert compare_figure(figure(0.82, 0.015), many).verdict == "reproduced"
    assert compare_figure(figure(0.9, 0.015), many).verdict == "worse"


def test_other_rows_have_their_part_however_many_seeds_there_are() -> None:
    assert compare_figure(figure(0.8), [cell(0.8, seed, half=0.03) for seed in range(50)]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("path", "published", "verdict"),
    [
        ("cost.size_mib", 10, "better than published"),
        ("cost.size_mib", 6, "worse"),
        ("cost.size_mib", 8.005, "reproduced"),
        ("metrics.test.accuracy", 0.7, "better than published"),
        ("metrics.test.accuracy", 0.9, "worse"),
    ],
)
def test_better_is_less_of_a_cost_and_more_of_an_accuracy(path: str, published: float, verdict: str) -> None:
    assert compare_figure(figure(published, metric=path), [cell(0.8)]).verdict == verdict


def test_a_metric_whose_chance_is_not_told_decides_nothing_and_says_so() -> None:
    one = cell(0.8)
    one.metrics["test"]["mcc"] = 0.5
    judged = compare_figure(figure(0.9, metric="metrics.test.mcc"), [one])
    assert judged.verdict == "inconclusive"
    assert "does not say" in judged.why


def test_a_change_between_two_models_is_judged_by_the_rows_on_which_they_differ(tmp_path: Path) -> None:
    """Their predictions say that 10 of 1,000 rows changed sides; by the intervals alone it might be any 200."""
    plain, small = cell(0.8, half=0.025), cell(0.795, half=0.025, steps=("int8",))
    for one, changed in ((plain, 0), (small, 10)):
        folder = tmp_path / one.cell
        folder.mkdir()
        labels = np.zeros(1000, np.int64)
        predictions = np.where(np.arange(1000) < 800 - changed, 0, 1)
        np.savez_compressed(folder / FILE, labels=labels, predictions=predictions, texts=np.arange(1000, dtype="u8"))
    wanted = figure(-0.005, row="small distilled + int8", metric="metrics.test.accuracy - small distilled")
    assert compare_figure(wanted, [plain, small], tmp_path).verdict == "reproduced"
    assert compare_figure(wanted, [plain, small]).verdict == "inconclusive"


def test_a_change_and_a_ratio_go_seed_by_seed() -> None:
    small = [cell(one.metrics["test"]["accuracy"] - 0.01 * (n + 1), n, steps=("int8",)) for n, one in enumerate(SEEDS)]
    row = "small distilled + int8"
    change = compare_figure(
        figure(-0.02, row=row, metric="metrics.test.accuracy - small distilled"), [*SEEDS, *small[:2]]
    )
    assert (change.ours.n, change.ours.mean) == (2, pytest.approx(-0.015))
    ratio = compare_figure(figure(0.25, 0, row=row, metric="cost.size_mib / small distilled"), [*SEEDS, *small])
    assert ratio.verdict == "reproduced"


def test_a_teacher_counts_once_and_is_set_against_the_student_of_the_same_cell() -> None:
    own = compare_figure(figure(0.95, row="big teacher"), SEEDS)
    assert own.verdict == "reproduced"
    assert (own.ours.n, own.ours.low) == (1, 0.94)
    ratio = compare_figure(figure(0.25, 0, metric="cost.latency_ms.p50 / big teacher"), SEEDS)
    assert ratio.difference == 0
    other = compare_figure(figure(0.25, 0, metric="cost.latency_ms.p50 / another teacher"), SEEDS)
    assert other.verdict.endswith("no cell of the row it is set against")


def test_seeds_that_share_a_measurement_of_time_count_once() -> None:
    times = figure(3, 0, metric="cost.latency_ms.p50")
    assert compare_figure(times, SEEDS).ours.n == 1
    assert compare_figure(times, [cell(0.8, n, timing=str(n)) for n in range(3)]).ours.n == 3


def test_a_time_that_was_measured_once_is_inconclusive_and_two_that_agree_are_not() -> None:
    times = figure(3, 0.1, metric="cost.latency_ms.p50")
    once = compare_figure(times, SEEDS)
    assert (once.verdict, once.why) == ("inconclusive", "one measurement says nothing of what others would be")
    assert compare_figure(times, [cell(0.8, n, timing=str(n)) for n in range(3)]).verdict == "reproduced"


def test_times_of_two_machines_are_shown_and_not_judged() -> None:
    both = [cell(0.8, n, timing=str(n), machine={"processor": f"chip {n}", "threads": 2}) for n in (0, 1)]
    verdict = compare_figure(figure(3, 0.1, metric="cost.latency_ms.p50"), both).verdict
    assert verdict == "not run here: its times were taken on several machines"


def test_times_of_a_busy_machine_are_shown_and_not_judged() -> None:
    busy = [cell(0.8, contended=True)]
    judged = compare_figure(figure(9, 0, metric="cost.latency_ms.p50"), busy)
    assert judged.verdict == "not run here: other processes were busy while it was timed"
    assert judged.difference == -6
    assert compare_figure(figure(8, 0, metric="cost.size_mib"), busy).verdict == "reproduced"


@pytest.mark.parametrize(
    ("published", "cells", "reason"),
    [
        (figure(0.9, None, reason="needs a download"), SEEDS, "needs a download"),
        (figure(0.9, row="large distilled"), SEEDS, "no cell of this row has run"),
        (figure(0.9), [cell(None, error="the loss\nis nan")], "()20t failed: the loss is nan"),
        (figure(0.9, metric="metrics.test.mcc"), SEEDS, "no metrics.test.mcc in its results"),
        (figure(0.9, None, metric="", reason="no such part"), SEEDS, "no such part"),
    ],
)
def test_what_has_no_number_of_ours_says_why(published: Figure, cells: Sequence[RunResult], reason: str) -> None:
    assert compare_figure(published, cells).verdict == f"not run here: {reason}"


def test_a_row_that_means_two_settings_is_refused_until_an_option_tells_them_apart() -> None:
    cells = [cell(0.8), cell(0.9, temperature=4)]
    with pytest.raises(UserError, match=r"which differ, in loss\.temperature.*e\.g\. loss\.temperature=4"):
        compare_figure(figure(0.8), cells)
    with pytest.raises(UserError, match=r"loss\.temperature"):
        compare_figure(figure(0.8), [cell(0.8, 0), cell(0.9, 1, temperature=4)])
    assert compare_figure(figure(0.9, row="small distilled loss.temperature=4"), cells).verdict == "reproduced"
    assert compare_figure(figure(0.8), [cell(0.8), cell(0.8, cell="again")]).ours.n == 1


def test_a_row_is_known_by_its_config_and_not_by_its_folder() -> None:
    assert method(cell(0.8, steps=("int8",)).config) == "distilled + int8"
    assert compare_figure(figure(0.8), [cell(0.8, cell="method=baseline")]).verdict == "reproduced"


# expected.csv

GOOD = "small distilled,accuracy,metrics.test.accuracy,0.82,0.04,a paper,one seed"


def expected(folder: Path, *lines: str, header: str = ",".join(COLUMNS)) -> Path:
    path = folder / NAME / "expected.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_a_published_figure_is_read_as_written(tmp_path: Path) -> None:
    (found,) = read(expected(tmp_path, GOOD))
    assert found == figure(0.82, 0.04)
    (unjudged,) = read(expected(tmp_path, 'a b,c,,1,"not run here: gone, alas",s,'))
    assert (unjudged.metric, unjudged.tolerance, unjudged.reason, unjudged.trap) == (None, None, "gone, alas", "")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([GOOD.replace("0.82", "high")], "line 2: expected a number as value, got 'high'"),
        ([GOOD.replace("0.82", "nan")], "line 2: expected a number as value"),
        ([GOOD, GOOD.replace("0.04", "-1").replace("accuracy,", "f1,", 1)], "line 3: expected a tolerance from 0"),
        ([GOOD.replace("0.04", "")], "line 2: expected a tolerance from 0"),
        ([GOOD.replace("metrics.test.accuracy", "accuracy")], "line 2: expected a metric such as"),
        ([GOOD.replace("metrics.test.accuracy", "cost.size_mib * x")], "line 2: expected a metric such as"),
        ([GOOD.replace("a paper", " ")], "line 2: expected a source, got none"),
        ([GOOD + ",more"], "line 2: expected 7 cells, got 8"),
        ([GOOD, GOOD], "line 3: expected each row and column once"),
        ([GOOD.replace("small distilled", "big teacher").replace("accuracy,0", "accuracy - x y,0")], "student first"),
        ([], "line 2: expected a published figure, got none"),
        ([GOOD.replace("one seed", '"one seed')], "unexpected end of data"),
    ],
)
def test_a_malformed_line_is_one_clear_message(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(UserError) as caught:
        read(expected(tmp_path, *lines))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_header_an_empty_file_and_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 1: expected row,column.* got a,b"):
        read(expected(tmp_path, header="a,b"))
    path = expected(tmp_path)
    for content in (b"", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(UserError):
            read(path)


# the whole check


def run(tmp_path: Path, lines: Sequence[str], cells: Sequence[RunResult] = tuple(SEEDS)) -> Check:
    expected(tmp_path / "experiments", *lines)
    spec = tmp_path / "experiments" / f"{NAME}.yaml"
    spec.write_text("# @package _global_\n# What it shows\nname: x\n", encoding="utf-8")
    for one in cells:
        one.write(tmp_path / "multirun" / NAME / one.cell)
    return check(tmp_path / "multirun", NAME, tmp_path / "experiments")


@pytest.mark.parametrize(
    ("values", "status", "missed"),
    [
        ((0.82, 0.72), "reproduced", False),
        ((0.82, 0.85), "partly", False),
        ((0.85, 0.85), "inconclusive", False),
        ((0.82, 0.99), "partly", True),
        ((0.99, 0.98), "not", True),
        ((0.82, None), "partly", False),
        ((None, None), "not run", False),
    ],
)
def test_a_table_is_as_reproduced_as_its_figures(
    tmp_path: Path, values: tuple[float | None, ...], status: str, missed: bool
) -> None:
    lines = [
        f"small distilled,a{n},metrics.test.accuracy,{value or 0.82},{0.04 if value else 'not run here: no'},a paper,"
        for n, value in enumerate(values)
    ]
    held = run(tmp_path, lines)
    assert (held.status, held.missed) == (status, missed)


def test_the_page_has_both_figures_the_trap_beside_theirs_and_the_source(tmp_path: Path) -> None:
    page = check_table.to_text(run(tmp_path, [GOOD]), "the command")
    row = next(line for line in page.splitlines() if line.startswith("| small distilled | accuracy"))
    for part in ("0.8200 ± 0.0200", "| 3 |", "0.7651 to 0.8644", "+0.0000", "reproduced", "| one seed |"):
        assert part in row
    assert "- a paper\n" in page
    assert "Made by `the command`" in page


def test_the_index_reads_status_date_and_commit_off_the_page(tmp_path: Path) -> None:
    held, experiments = run(tmp_path, [GOOD]), tmp_path / "experiments"
    readme = experiments / "README.md"
    readme.write_text(f"before\n{index.BEGIN}\nold\n{index.END}\nafter\n", encoding="utf-8")
    index.update(experiments)
    assert f"| {NAME} | What it shows | not run | - | - | - |" in readme.read_text(encoding="utf-8")
    assert "What it shows" not in index.render_short(experiments), "README.md lists what has run"
    (experiments / NAME / index.TABLE).write_text(check_table.to_text(held, "x"), encoding="utf-8")
    index.update(experiments)
    text = readme.read_text(encoding="utf-8")
    told = f"[reproduced]({NAME}/table.md) | {held.date} | 0123456 | rows not kept |"
    link = f"[{NAME}]({NAME}/table.md) | What it shows | {told}"
    assert link in text
    assert "What it shows" in index.render_short(experiments)
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    readme.write_text("no marks", encoding="utf-8")
    with pytest.raises(UserError, match="without them"):
        index.update(experiments)


def test_a_page_of_several_studies_stands_in_readme_once_one_of_them_has_run(tmp_path: Path) -> None:
    held, experiments = run(tmp_path, [GOOD]), tmp_path / "experiments"
    (experiments / NAME).parent.joinpath("README.md").write_text("# Of several\n", encoding="utf-8")
    assert "Of several" not in index.render_short(experiments)
    (experiments / NAME / index.TABLE).write_text(check_table.to_text(held, "x"), encoding="utf-8")
    assert "Of several" in index.render_short(experiments)


def test_a_study_in_a_folder_of_its_paper_is_listed_and_mlflows_copies_are_not(tmp_path: Path) -> None:
    for place in (f"{NAME}/a", "alone/b", "mlartifacts/0123/artifacts"):
        cell(0.8).write(tmp_path / place)
    assert studies(tmp_path) == ["alone", NAME]


@pytest.mark.parametrize(("value", "code"), [("0.82", 0), ("0.99", 1)])
def test_the_command_exits_with_one_on_a_miss_and_writes_beside_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, code: int
) -> None:
    run(tmp_path, [GOOD.replace("0.82", value)])
    monkeypatch.setattr(verb, "root", lambda: tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "experiments").rename(tmp_path / "elsewhere" / "experiments")
    assert command(["report", NAME, "--check", f"--multirun={tmp_path / 'multirun'}"]) == code
    printed = capsys.readouterr().out
    for part in ("one seed", "worse" if code else "reproduced", "0.8200 ± 0.0200"):
        assert part in printed
    assert (tmp_path / "multirun" / NAME / "report" / "check.md").is_file()
    assert not (tmp_path / "elsewhere" / "experiments" / NAME / index.TABLE).exists(), "not this checkout's results"


def test_the_checkouts_own_results_are_written_where_they_are_committed_but_over_no_more_than_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, [GOOD])
    monkeypatch.setattr(verb, "root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments" / "README.md").write_text(f"{index.BEGIN}\n{index.END}\n", encoding="utf-8")
    assert command(["report", NAME, "--check"]) == 0
    assert (tmp_path / "experiments" / NAME / index.TABLE).is_file()
    assert "reproduced" in (tmp_path / "experiments" / "README.md").read_text(encoding="utf-8")
    committed = (tmp_path / "experiments" / NAME / kept.FILE).read_text(encoding="utf-8")
    shutil.rmtree(next((tmp_path / "multirun" / NAME).glob("*/result.json")).parent)
    assert command(["report", NAME, "--check"]) in (0, 1), "two seeds may decide less than three"
    assert "what is committed stays" in capsys.readouterr().err
    assert (tmp_path / "experiments" / NAME / kept.FILE).read_text(encoding="utf-8") == committed


def test_a_study_without_published_figures_and_a_malformed_file_are_one_line_and_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, [GOOD])
    expected(tmp_path / "experiments", "nonsense")
    monkeypatch.setattr(verb, "root", lambda: tmp_path)
    cell(0.8, name="bare").write(tmp_path / "multirun" / "bare" / "a")
    for name, words in (("bare", f"as {NAME} has"), (NAME, "expected 7 cells, got 1"), ("gone", f"as {NAME} has")):
        assert command(["report", name, "--check", f"--multirun={tmp_path / 'multirun'}"]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert len(said.strip().splitlines()) == 1
