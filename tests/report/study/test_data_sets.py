"""What is one data set, one setting and one run of it: nothing is pooled, paired or ranked across two of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade_cells import cell, first, keep
from omegaconf import OmegaConf

from kd_lab.cli.report import report
from kd_lab.core.results import RunResult
from kd_lab.evaluation.predictions import FILE
from kd_lab.pipeline.summary_table import rows as table_rows
from kd_lab.report.figures import pareto_front
from kd_lab.report.study import data_sets, measures
from kd_lab.report.study.runs import by_shared_seeds, run, runs_in_words, split
from kd_lab.report.study.settings import Setting, settings
from kd_lab.report.study.study_report import write


def of_split(a: int, split: int, seed: int = 0, **changes: object) -> RunResult:
    """A cell of the study over `a`, of one way of splitting one CSV file."""
    data = {"name": "csv", "path": "rows.csv", "split": {"seed": split, "test_fraction": 0.2}}
    overrides = [f"a={a}", f"dataset.split.seed={split}", f"seed={seed}"]
    config = {"seed": seed, "a": a, "dataset": data, "teacher": {"seed": 0}}
    return cell(overrides, **{"config": config, **changes})


def renamed(multirun: Path, cells: list[RunResult], offset: int) -> None:
    """Has the cells' test rows be other texts with the same labels."""
    for one in cells:
        path = multirun / one.name / one.cell / FILE
        with np.load(path) as stored:
            kept = dict(stored)
        np.savez_compressed(path, **{**kept, "texts": kept["texts"] + np.uint64(offset)})


# item 7


def test_split_seeds_are_repetitions_of_one_setting_and_none_of_them_is_the_best(tmp_path: Path) -> None:
    cells = [of_split(1, split, validation=0.7 + split / 10) for split in (0, 1, 2)]
    keep(tmp_path, cells, [first(160), first(150), first(155)])
    found = write(tmp_path, "study", figures=False)
    assert len(found.settings) == 1
    assert "best" not in found.verdict
    assert "over 3 split seeds" in found.verdict
    assert "best" not in found.files["table.md"].read_text()


@pytest.mark.parametrize("key", ["seed", "dataset.split.seed", "teacher.seed", "++teacher.model.word2vec_seed"])
def test_every_seed_is_a_repetition(key: str) -> None:
    whole = {"seed": 0, "dataset": {"split": {"seed": 0}}, "teacher": {"seed": 0, "model": {"word2vec_seed": 0}}}
    cells = []
    for number in (0, 1):
        config = OmegaConf.create(whole)
        OmegaConf.update(config, key.lstrip("+"), number)
        cells.append(cell([f"{key}={number}"], config=OmegaConf.to_container(config)))
    (setting,) = settings(cells)
    assert len(setting.by_run) == 2


def test_other_texts_with_the_same_labels_are_never_paired(tmp_path: Path) -> None:
    """A file sorted by class gives every split seed the same column of labels."""
    cells = [of_split(1, 0, validation=0.9), of_split(2, 1)]
    keep(tmp_path, cells, [first(160), first(100)])
    renamed(tmp_path, cells[1:], 1000)
    verdict = write(tmp_path, "study", figures=False).verdict
    assert "better than" not in verdict
    assert "no split in common" in verdict


def test_settings_are_paired_within_each_split(tmp_path: Path) -> None:
    cells = [of_split(a, split, seed, validation=0.9 - a / 10) for a in (1, 2) for split in (0, 1) for seed in (0, 1)]
    keep(tmp_path, cells, [first(170 + n) for n in range(4)] + [first(100 + n) for n in range(4)])
    for one in cells:
        renamed(tmp_path, [one], 160 * dict(run(one))["dataset.split.seed"])  # a fifth of the rows is in both
    (verdict,) = write(tmp_path, "study", figures=False).verdicts
    comparison = verdict.others[0].comparison
    assert (comparison.n, comparison.difference) == (4, pytest.approx(0.35))
    assert "over 4 runs (2 split seeds, 2 seeds)" in verdict.text


def test_rows_of_an_older_kd_lab_are_paired_where_their_tokens_are_the_same(tmp_path: Path) -> None:
    tokens = [{"tokens": name} for name in ("t", "t", "u")]
    cells = [cell([f"a={a}"], 0.9 - a / 10, fingerprint=name) for a, name in enumerate(tokens)]
    keep(tmp_path, cells, [first(170), first(100), first(100)])
    for one in cells:
        path = tmp_path / one.name / one.cell / FILE
        with np.load(path) as stored:
            kept = {name: stored[name] for name in stored if name != "texts"}
        np.savez_compressed(path, **kept)
    (verdict,) = write(tmp_path, "study", figures=False).verdicts
    same, other = verdict.others
    assert same.comparison is not None
    assert other.comparison is None
    assert "not compared with: a=2 (answers to different texts, or with different labels)" in verdict.text


def test_two_tokenizers_of_the_same_texts_are_paired(tmp_path: Path) -> None:
    cells = [cell([f"tokenizer.max_tokens={n}"], n / 100, fingerprint={"tokens": str(n)}) for n in (32, 64)]
    keep(tmp_path, cells, [first(100), first(170)])
    (verdict,) = write(tmp_path, "study", figures=False).verdicts
    assert "better than the other" in verdict.text


def test_a_baseline_without_a_teacher_is_one_run_beside_those_of_several_teachers() -> None:
    taught = {run(cell([], config={"seed": 0, "teacher": {"seed": number}})): number for number in (0, 1)}
    alone = {run(cell([], config={"seed": 0, "teacher": None})): 7}
    assert by_shared_seeds([taught, alone]) == [{(("seed", 0),): 0}, {(("seed", 0),): 7}]
    assert runs_in_words(taught) == "2 teacher seeds"


def test_the_best_is_chosen_on_the_splits_that_all_settings_have() -> None:
    easy = [of_split(2, 1, validation=0.99)]
    both = [of_split(1, split, validation=value) for split, value in ((0, 0.7), (1, 0.995))]
    assert measures.best(settings([*easy, *both])).values["a"] == "1"  # type: ignore[union-attr]
    assert measures.best(settings([of_split(1, 0), of_split(2, 1)])) is None


def test_cells_csv_says_which_split_a_cell_is_of(tmp_path: Path) -> None:
    keep(tmp_path, [of_split(1, 0), of_split(1, 1)], [None, None])
    lines = write(tmp_path, "study", figures=False).files["cells.csv"].read_text().splitlines()
    assert [row["dataset.split.seed"] for row in csv.DictReader(lines)] == ["0", "1"]


# item 8


def of_file(path: str, a: int, **changes: object) -> RunResult:
    config = {"seed": 0, "a": a, "dataset": {"name": "csv", "path": path, "split": {"seed": 0}}}
    return cell([f"dataset.path={path}", f"a={a}"], **{"config": config, **changes})


@pytest.fixture
def two_files(tmp_path: Path) -> Path:
    cells = [of_file(path, a, validation=a / 10, test=0.8) for path in ("x.csv", "y.csv") for a in (1, 2)]
    keep(tmp_path, cells, [first(160)] * 4)
    return tmp_path


def test_two_csv_files_are_two_data_sets_with_a_best_and_a_table_each(two_files: Path) -> None:
    found = write(two_files, "study", figures=False)
    assert found.best is None
    assert [text.split(",")[0] for text in found.verdict.splitlines()] == [
        "csv path=x.csv: best: path=x.csv a=2",
        "csv path=y.csv: best: path=y.csv a=2",
    ]
    text = found.files["table.md"].read_text()
    assert text.count("| path | a | seeds |") == 2
    assert "### csv path=y.csv\n" in text
    assert found.files["table.tex"].read_text().count(r"\begin{tabular}") == 2
    lines = found.files["table.csv"].read_text().splitlines()
    assert [(row["data_set"], row["best"]) for row in csv.DictReader(lines)] == [
        ("csv path=x.csv", "0"),
        ("csv path=x.csv", "1"),
        ("csv path=y.csv", "0"),
        ("csv path=y.csv", "1"),
    ]


def test_each_data_set_has_figures_of_its_own(two_files: Path) -> None:
    files = write(two_files, "study").files
    assert {"pareto-csv-path-x.csv.png", "pareto-csv-path-y.csv.png", "parallel-csv-path-x.csv.png"} <= set(files)
    assert "pareto.png" not in files


def test_a_data_set_whose_models_are_all_worse_has_a_front_and_tests_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared, the front would hold those of y.csv alone; the answers have the same texts, so that they would pair."""
    given = [(path, a, score) for path, score in (("x.csv", 0.5), ("y.csv", 0.9)) for a in (1, 2)]
    cells = [of_file(path, a, validation=score + a / 100, test=score + a / 100) for path, a, score in given]
    keep(tmp_path, cells, [first(round(200 * (score + a / 100))) for _, a, score in given])
    fronts: list[list[str]] = []

    def of(setting: Setting) -> str:
        return setting.label.split()[0].removeprefix("path=")

    front = pareto_front.front

    def noted(*asked: Any) -> Any:
        found = front(*asked)
        fronts.append([of(one) for one in found])
        return found

    monkeypatch.setattr(pareto_front, "front", noted)
    found = write(tmp_path, "study")
    assert sorted(map(tuple, fronts)) == [("x.csv",)] * 2 + [("y.csv",)] * 2  # by size and by latency
    for verdict in found.verdicts:
        assert [of(one.setting) for one in verdict.others] == [of(verdict.best)]
        assert verdict.others[0].comparison is not None
    assert "best/accuracy" not in found.metrics


def test_the_terminal_shows_a_table_a_data_set(two_files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = [of_file(path, 1, cell=f"{path[0]}-again", validation=0.1) for path in ("x.csv", "y.csv")]
    for one in more:
        one.config["seed"] = 1
    keep(two_files, more, [first(150)] * 2)
    report(["study", f"--multirun={two_files}"])
    printed = capsys.readouterr().out
    assert "study: csv path=x.csv" in printed
    assert "study: csv path=y.csv" in printed


def test_a_teacher_of_two_files_is_shown_with_the_file_it_was_taught_on() -> None:
    taught = {"model": "minilm", "metrics": {"test": {"accuracy": 0.9}}, "cost": {}}
    cells = [of_file(f"{name}.csv", 1, teacher={**taught, "fingerprint": name}) for name in "xy"]
    assert [row["path"] for row in table_rows(cells)] == ["x.csv", "y.csv"] * 2


def test_a_file_that_was_changed_between_two_cells_makes_two_data_sets(tmp_path: Path) -> None:
    before, after = (of_file("x.csv", a, fingerprint={"test": name}) for a, name in ((1, "old"), (2, "new")))
    keep(tmp_path, [before, after], [first(160)] * 2)
    found = write(tmp_path, "study", figures=False)
    assert [verdict.data_set for verdict in found.verdicts] == ["csv data=1", "csv data=2"]
    again = of_file("x.csv", 1, fingerprint={"test": "new"}, cell="again")
    again.config["seed"] = 1
    assert len(settings([before, again])) == 2, "seeds on other rows are not averaged"


def test_an_option_of_the_data_makes_another_data_set_and_a_moved_file_does_not() -> None:
    def found(**options: object) -> int:
        other = of_file("x.csv", 2)
        other.config["dataset"] = {**other.config["dataset"], **options}
        return len(data_sets.data_sets(settings([of_file("x.csv", 1), other])))

    assert found(limit=100) == found(text_column="title") == 2
    assert found(path="/elsewhere/x.csv") == found(split={"seed": 3}) == 1


def test_more_text_to_learn_from_makes_another_setting_of_the_same_data_set() -> None:
    def taught(factor: int | None, seed: int = 0, teacher: object = "minilm") -> RunResult:
        """A cell of an older kd_lab where there is no factor."""
        made = {} if factor is None else {"augmentation": {"factor": factor, "seed": seed}}
        given = [] if factor is None else [f"dataset.augmentation.factor={factor}", f"dataset.augmentation.seed={seed}"]
        data = {"name": "csv", "path": "x.csv", "split": {"seed": 3}, **made}
        return cell(given, config={"seed": 1, "dataset": data, "teacher": teacher})

    found = settings([taught(None), taught(0), taught(10), taught(10, seed=1)])
    assert [(*one.values.values(), len(one.cells)) for one in found] == [("0", 1), ("10", 2), ("-", 1)]
    assert len(data_sets.data_sets(found)) == 1, "they are judged on the same rows"
    plain = (("dataset.split.seed", 3), ("seed", 1))
    assert run(taught(None)) == run(taught(0)) == run(taught(10, teacher=None)) == plain
    assert run(taught(10, seed=1)) == (("dataset.augmentation.seed", 1), *plain)
    assert split(run(taught(10, seed=1))) == (("dataset.split.seed", 3),)
    files = [of_file("x.csv", 1), of_file("x.csv", 1)]
    files[1].overrides.append("dataset.transfer_path=more.txt")
    files.append(of_file("x.csv", 1))
    files[2].overrides += ["dataset.transfer_path=more.txt", "dataset.transfer_limit=5"]
    assert len(settings(files)) == 3
    assert len(data_sets.data_sets(settings(files))) == 1


def test_models_of_several_splits_do_not_share_a_frontier() -> None:
    cells = [of_split(1, split, seed) for split in (0, 1) for seed in (0, 1)]
    assert list(data_sets.by_cell(cells).values()) == ["csv split.seed=0"] * 2 + ["csv split.seed=1"] * 2
    assert set(data_sets.by_cell(cells[:2]).values()) == {"csv"}


def test_names_that_are_alike_as_file_names_stay_apart() -> None:
    assert len(set(data_sets.file_suffixes(["a b", "a/b", "c"]).values())) == 3
    assert data_sets.file_suffixes(["a b"]) == {"a b": ""}


# siblings


def test_cells_whose_configs_differ_are_not_averaged_though_their_overrides_are_the_same() -> None:
    """As after a file of conf/ was edited between two seeds, or in two experiments of one name."""
    cells = [
        cell([f"seed={seed}"], config={"seed": seed, "loss": {"temperature": temperature}})
        for seed, temperature in ((0, 2), (1, 2), (2, 4))
    ]
    assert [(one.label, len(one.cells)) for one in settings(cells)] == [("temperature=2", 2), ("temperature=4", 1)]


def test_busy_and_mixed_machines_are_said_where_times_are_compared(tmp_path: Path) -> None:
    cells = [cell([f"a={a}", f"seed={s}"]) for a in (1, 2) for s in (0, 1)]
    cells[0].cost["contended"] = True
    for place, one in enumerate(cells):
        one.machine = {"processor": f"chip {place % 2}", "threads": 2}
    keep(tmp_path, cells, [None] * 4)
    text = write(tmp_path, "study", figures=False).files["table.md"].read_text()
    assert "Other processes were busy while 1 of 4 cells were timed." in text
    assert "2 machines and cannot be compared: chip 0, 2 threads; chip 1, 2 threads" in text


def test_runs_that_agree_have_the_interval_of_their_rows(tmp_path: Path) -> None:
    """Three seeds at 100 % had the interval [100.0, 100.0]."""
    cells = [cell([f"seed={seed}"], test=1.0) for seed in (0, 1, 2)]
    keep(tmp_path, cells, [first(200)] * 3)
    assert "100.0 % ± 0.0 [98.1, 100.0] over 3 seeds" in write(tmp_path, "study", figures=False).verdict
