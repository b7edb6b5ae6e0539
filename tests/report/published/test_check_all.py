"""Committed rows: a study comes back out of them as it went in, and a table that they do not say is found."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_lab.__main__ import command
from kd_lab.core.errors import UserError
from kd_lab.core.paths import root
from kd_lab.core.results import RunResult
from kd_lab.evaluation.paired_tests import Predictions
from kd_lab.evaluation.predictions import FILE as ANSWERS
from kd_lab.evaluation.predictions import TEST
from kd_lab.report.published import index, kept, overview
from kd_lab.report.published.check_all import check_all, keep, pages
from kd_lab.report.published.expected import COLUMNS
from kd_lab.report.published.expected import FILE as EXPECTED
from kd_lab.report.study.answers import read_predictions
from kd_lab.report.study.collect import study

NAME = "paper/toy"
ROWS = 200
LABELS = np.arange(ROWS) % 3
PUBLISHED = [
    "small distilled,accuracy,metrics.test.accuracy,0.8,0.08,a paper,",
    "small distilled,gain,metrics.test.accuracy - small baseline,0.1,0.12,a paper,one seed",
]


def cell(method: str, seed: int) -> tuple[RunResult, np.ndarray]:
    """A cell, and what it said of the test rows: a baseline is right in 70 %, a distilled student in 80."""
    right = np.random.default_rng([seed, method == "distilled"]).permutation(ROWS) < ROWS * (
        0.8 if method == "distilled" else 0.7
    )
    accuracy = float(right.mean())
    loss = {"_target_": "kd_lab.losses.hybrid.Hybrid", "alpha": 0.5 if method == "distilled" else 1, "temperature": 2}
    made = RunResult(
        NAME,
        f"method={method},seed={seed}",
        "finished",
        {"seed": seed, "model": {"name": "small"}, "loss": loss, "compression": {}, "teacher": {"seed": 0}},
        overrides=[f"method={method}", f"seed={seed}"],
        git_commit="0123456789abcdef-dirty",
        fingerprint={"compressed": f"{method}{seed}", "tokens": "t", TEST: "00ff"},
        metrics={
            split: {"accuracy": accuracy, "accuracy_interval": [accuracy - 0.05, accuracy + 0.05], "rows": ROWS}
            for split in ("validation", "test")
        },
        history=[{"train/kl": 1.0}],
        durations_s={"fit student": 1000.0, "cell": 1800.0},
    )
    return made, np.where(right, LABELS, (LABELS + 1) % 3)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a study of four cells under multirun/, and experiments/ with its figures."""
    for method in ("baseline", "distilled"):
        for seed in (0, 1):
            made, answers = cell(method, seed)
            folder = made.write(tmp_path / "multirun" / NAME / made.cell).parent
            texts = np.arange(ROWS, dtype=np.uint64) + 7
            np.savez_compressed(folder / ANSWERS, labels=LABELS, predictions=answers, texts=texts)
    (tmp_path / "experiments" / NAME).mkdir(parents=True)
    (tmp_path / "experiments" / f"{NAME}.yaml").write_text("# What it shows\n", encoding="utf-8")
    (tmp_path / "experiments" / "README.md").write_text(f"{index.BEGIN}\n{index.END}\n", encoding="utf-8")
    return tmp_path


def publish(place: Path, lines: list[str] = PUBLISHED) -> None:
    text = "\n".join([",".join(COLUMNS), *lines, ""])
    (place / "experiments" / NAME / EXPECTED).write_text(text, encoding="utf-8")


def kept_in(place: Path) -> Path:
    keep(place / "multirun", NAME, place / "experiments")
    index.update(place / "experiments")
    return place / "experiments" / NAME


def said(folder: Path) -> list[Predictions | None]:
    """What each cell under a folder like multirun/ said of the test rows."""
    return [read_predictions(folder / NAME, one) for one in study(folder, NAME)]


def changed(place: Path) -> list[str]:
    return [one.said for one in check_all(place / "experiments") if one.changed]


@pytest.mark.parametrize("published", [True, False])
def test_a_study_out_of_its_rows_has_the_same_table_to_the_letter(place: Path, published: bool) -> None:
    if published:
        publish(place)
    folder, again = kept_in(place), place / "again"
    assert kept.restore(folder / kept.FILE, again) == NAME
    texts = pages(NAME, again, place / "experiments")
    assert texts == pages(NAME, place / "multirun", place / "experiments")
    now = texts[index.TABLE]
    assert ("reproduced" in now, "p against best" in now) == (published, not published), "pairs of rows are in both"
    assert "small,0.1" in texts[overview.GAINS]
    assert changed(place) == []


def test_what_each_model_said_of_each_row_comes_back(place: Path) -> None:
    kept.restore(kept_in(place) / kept.FILE, place / "again")
    here, there = (study(place / where, NAME) for where in ("multirun", "again"))
    for one, other in zip(here, there, strict=True):
        assert (one.metrics, one.fingerprint, one.config) == (other.metrics, other.fingerprint, other.config)
        assert not other.history, "of no use to a table, and long"
    first, *_ = again = said(place / "again")
    for ours, theirs in zip(said(place / "multirun"), again, strict=True):
        assert np.array_equal(ours.predictions, theirs.predictions)
        assert np.array_equal(ours.labels, theirs.labels)
        assert theirs.same_rows(first)


def test_rows_of_cells_that_are_gone_are_not_written_over_and_come_back(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = kept_in(place) / kept.FILE
    before, study_there = rows.read_text(encoding="utf-8"), place / "multirun" / NAME
    gone = sorted(path for path in study_there.iterdir() if path.name.endswith("seed=1"))
    for path in gone:
        shutil.rmtree(path)
    stayed = next(study_there.glob("*/result.json"))
    own = stayed.stat().st_mtime_ns
    failed = replace(cell("distilled", 1)[0], status="failed", error="of something")
    failed.write(study_there / failed.cell)  # no better than a cell that is gone
    monkeypatch.chdir(place)
    line = ["report", NAME, "--keep", "--experiments", "experiments"]
    assert command(line) == 2
    told = capsys.readouterr().err
    assert f"got 2 that have not, such as {gone[0].name}" in told
    assert rows.read_text(encoding="utf-8") == before
    cure = re.search(r"kd-lab (report \S+ \S+ \S+ --restore)", told)
    assert cure, "which looks into the folder that the line named"
    assert command(cure[1].split()) == 0
    assert stayed.stat().st_mtime_ns == own, "a cell that has run stays as it is"
    again = [cell.cell for cell in study(place / "multirun", NAME)]
    assert sorted(again) == sorted(one["cell"] for one in json.loads(before)["cells"])
    assert changed(place) == []
    rows.unlink()
    shutil.rmtree(gone[0])
    assert command(line) == 0, "the other cure"
    assert rows.is_file()


def test_rows_hold_no_text_and_the_index_their_hours(place: Path) -> None:
    publish(place)
    folder = kept_in(place)
    assert "texts" not in (folder / kept.FILE).read_text(encoding="utf-8")
    assert kept.made(folder / kept.FILE)[2] == pytest.approx(2.0), "four cells of half an hour"
    line = index.render(place / "experiments").splitlines()[-1]
    assert line.endswith("| 0123456-dirty | 2.0 |")


def test_a_folder_of_studies_has_a_line_that_counts_their_verdicts_and_stands_for_them_in_readme(place: Path) -> None:
    publish(place)
    experiments = kept_in(place).parent.parent
    for name in ("paper/other", "paper/third"):
        (experiments / f"{name}.yaml").write_text("# Another\n", encoding="utf-8")
    (experiments / "paper" / "other").mkdir()
    shutil.copy(experiments / NAME / EXPECTED, experiments / "paper" / "other")
    (experiments / "paper" / "README.md").write_text("# Some papers\n", encoding="utf-8")
    assert index.render_short(experiments).splitlines()[2:] == [
        "| [paper](experiments/paper/README.md) | Some papers | 1 not run, 1 reproduced |"
    ]
    assert index.render(experiments).count("no published figures") == 1, "the third's, which no verdict counts"


@pytest.mark.parametrize(
    ("file", "was", "now"),
    [
        (f"{NAME}/{EXPECTED}", "0.08", "0.00001"),
        (f"{NAME}/{kept.FILE}", '"accuracy": 0.8,', '"accuracy": 0.9,'),
        (f"{NAME}/{kept.FILE}", f'"name": "{NAME}"', '"name": "other"'),
        (f"{NAME}/{index.TABLE}", "0.8000", "0.8100"),
        (f"{NAME}/{index.TABLE}", "", None),
        ("README.md", "| 2.0 |", "| 1.0 |"),
    ],
    ids=["a tolerance", "a row", "the study's name", "the table", "no table", "the index"],
)
def test_whatever_changes_is_found_and_the_command_exits_with_one(
    place: Path, capsys: pytest.CaptureFixture[str], file: str, was: str, now: str | None
) -> None:
    publish(place)
    kept_in(place)
    line = ["report", "--check-all", "--experiments", str(place / "experiments")]
    assert command(line) == 0
    assert f"{NAME}: as its rows say" in capsys.readouterr().out
    path = place / "experiments" / file
    text = path.read_text(encoding="utf-8")
    assert was in text
    path.unlink() if now is None else path.write_text(text.replace(was, now), encoding="utf-8")
    assert command(line) == 1
    assert len(changed(place)) >= 1


def test_a_table_without_rows_is_said_and_fails_nothing(place: Path) -> None:
    publish(place)
    (kept_in(place) / kept.FILE).unlink()
    index.update(place / "experiments")
    (one,) = check_all(place / "experiments")
    assert (one.name, one.said, one.changed) == (NAME, "not checked: its rows were not kept", False)
    assert "| rows not kept |" in index.render(place / "experiments")


def test_a_frontiers_page_is_made_of_its_csv_again(tmp_path: Path) -> None:
    for name in ("frontier.csv", "frontier.md"):
        shutil.copy(root() / "experiments" / "frontier" / "shapes_lstm" / name, tmp_path)
    (one,) = check_all(tmp_path)
    assert (one.name, one.said, one.changed) == ("frontier.md", "as its rows say", False)
    path = tmp_path / "frontier.csv"
    table = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    path.write_text(path.read_text(encoding="utf-8").replace(table[1]["size_mib"], "123.4"), encoding="utf-8")
    (one,) = check_all(tmp_path)
    assert one.changed
    assert one.said.startswith(f"by frontier.csv: | {table[1]['label']} |")
    path.write_text("label,role\nx,teacher\n", encoding="utf-8")
    with pytest.raises(UserError, match="kd-lab report NAME --frontier"):
        check_all(tmp_path)


def test_no_code_of_anothers_experiments_is_run(place: Path) -> None:
    kept_in(place)
    (place / "experiments" / NAME / "table.py").write_text("raise SystemExit(1)", encoding="utf-8")
    assert [one.name for one in check_all(place / "experiments")] == [NAME]


def test_a_folder_of_ones_own_needs_no_index(place: Path) -> None:
    kept_in(place)
    (place / "experiments" / "README.md").unlink()
    assert [(one.name, one.changed) for one in check_all(place / "experiments")] == [(NAME, False)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: stored.update(schema=9),
        lambda stored: stored.update(name="../../elsewhere"),
        lambda stored: stored["cells"][0].update(cell="../other"),
        lambda stored: stored["cells"][0].update(answers="no base 85 ~"),
        lambda stored: stored["cells"][0].pop("status"),
        lambda stored: stored.pop("gold"),
        lambda stored: stored.update(date="yesterday"),
    ],
)
def test_damaged_rows_are_one_line_and_nothing_is_written_elsewhere(
    place: Path, damage: Callable[[dict[str, object]], object]
) -> None:
    path = kept_in(place) / kept.FILE
    stored = json.loads(path.read_text(encoding="utf-8"))
    damage(stored)
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(UserError, match="kd-lab report NAME --keep"):
        kept.restore(path, place / "again" / "multirun")
    assert not (place / "elsewhere").exists()
    assert not (place / "again" / "elsewhere").exists()


def test_a_study_whose_rows_bear_several_labels_comes_back_too(place: Path) -> None:
    """Their labels are numbers of sets, of 63 bits; which labels a set has is not kept, and no class is reported."""
    sets = np.array([2**40, 2**62 + 1, 5], np.int64)
    for folder in sorted((place / "multirun" / NAME).iterdir()):
        with np.load(folder / ANSWERS) as stored:
            found = {**stored, **{part: sets[stored[part]] for part in ("labels", "predictions")}}
        np.savez_compressed(folder / ANSWERS, **found)
        text = (folder / "result.json").read_text().replace('"seed": ', '"task": "multi_label", "seed": ', 1)
        (folder / "result.json").write_text(text)
    kept.restore(kept_in(place) / kept.FILE, place / "again")
    for one, other in zip(said(place / "multirun"), said(place / "again"), strict=True):
        assert np.array_equal(one.predictions, other.predictions)
        assert np.array_equal(one.labels, other.labels)
    assert changed(place) == []


def test_splits_that_share_rows_are_known_to_when_they_come_back(place: Path) -> None:
    for number, folder in enumerate(sorted((place / "multirun" / NAME).iterdir())):
        with np.load(folder / ANSWERS) as stored:
            found = {**stored, "texts": stored["texts"] + np.uint64(ROWS // 2 * (number % 2))}
        np.savez_compressed(folder / ANSWERS, **found)
        (folder / "result.json").write_text((folder / "result.json").read_text().replace("00ff", f"00f{number % 2}"))
    kept.restore(kept_in(place) / kept.FILE, place / "again")
    splits = {cell.fingerprint[TEST]: cell for cell in study(place / "again", NAME)}
    texts = [read_predictions(place / "again" / NAME, cell).texts for cell in splits.values()]
    assert len(np.intersect1d(*texts)) == ROWS // 2


def test_a_folder_without_a_table_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["report", "--check-all", "--experiments", str(tmp_path)]) == 2
    assert "expected tables that were kept, got none" in capsys.readouterr().err
