"""What experiments/ claims: every published figure names its source and a row that the spec's cells have."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path

import pytest
from bindings import assert_binds, targets
from spec_cells import axes, configs, seeds

from kd_lab.cli.check_settings import settings
from kd_lab.cli.compose import compose, experiments
from kd_lab.core.paths import root
from kd_lab.core.results import RunResult
from kd_lab.pipeline.run import resolved_config
from kd_lab.report.published import check_table, index
from kd_lab.report.published.check import Check, ComparedFigure, compare_figure
from kd_lab.report.published.expected import FILE, Row, read
from kd_lab.report.published.measured import of_row
from kd_lab.report.study.runs import run

HERE = root() / "experiments"
CHECKED = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.rglob(FILE))
each_checked = pytest.mark.parametrize("name", CHECKED)


@cache
def cells(name: str) -> list[RunResult]:
    """What the cells of a spec would be called, before any has run."""
    found = []
    for choice, config in configs(name):
        teacher = {"model": config["teacher"]["model"]["name"]} if config["teacher"] else {}
        for seed in seeds(name):
            called = ",".join([*choice, f"seed={seed}"])
            found.append(RunResult(name, called, "not run", {**config, "seed": seed}, teacher=teacher))
    return found


@each_checked
def test_every_published_figure_has_cells_in_the_spec_or_says_why_not(name: str) -> None:
    there = cells(name)
    for figure in read(HERE / name / FILE):
        rows = [Row.parse(figure.row)] + ([figure.metric.other] if figure.metric and figure.metric.other else [])
        if figure.tolerance is not None or figure.metric is not None:
            for row in rows:
                assert of_row(row, there), f"{row} is no row of {name}"


@pytest.mark.parametrize("name", experiments())
def test_every_cell_of_an_experiment_composes_and_binds(name: str) -> None:
    """compose() does not look at hydra.sweeper.params: a mistyped axis shows only in the sweep."""
    for axis in axes(name):
        assert axis.is_sweep_override(), f"{axis.input_line} is no axis"
    assert len(set(seeds(name))) == len(seeds(name))
    seen = []
    for _, config in configs(name):
        for target in targets(config):
            assert_binds(target)
        seen.append({key: value for key, value in config.items() if key != "name"})
    assert all(one != other for one, other in itertools.combinations(seen, 2)), "two cells are the same run"


def test_cells_that_share_their_groups_are_what_hydra_composes() -> None:
    """`configs` composes groups once, and gives each cell its values afterwards."""
    for name in ("paper/glue", "seeds/glue", "nlp_with_transformers/clinc"):
        choice, config = configs(name)[-1]
        whole = resolved_config(compose([f"experiments={name}", *choice]))
        assert {**config, "paths": whole["paths"]} == whole  # where the cache lies is each test's own


@pytest.mark.parametrize("name", experiments())
def test_every_cell_would_be_taken(name: str) -> None:
    for _, config in configs(name):
        settings(config)
    for seed in seeds(name):
        settings({"seed": seed}, needed=())


@each_checked
def test_a_row_means_one_setting(name: str) -> None:
    there = cells(name)
    for figure in read(HERE / name / FILE):
        row = Row.parse(figure.row)
        if not row.is_teacher:
            runs = [run(cell) for cell in of_row(row, there)]
            assert len(runs) == len(set(runs)), f"{figure.row} means several cells of one seed"


@each_checked
def test_every_source_is_named_and_every_trap_is_printed(name: str) -> None:
    figures = read(HERE / name / FILE)
    there = cells(name)
    judged = [compare_figure(figure, there) for figure in figures]
    assert all(one.verdict.startswith("not run here: ") for one in judged), "nothing has run"
    printed = [" ".join(row) for row in check_table.rows(Check(name, judged, there, "2026-01-01"))]
    for figure, row in zip(figures, printed, strict=True):
        assert figure.trap in row
        assert figure.source.startswith(("github.com/", "arXiv:", "doi:", "seeds/"))  # one that says no address


@each_checked
def test_a_checked_study_has_a_spec_and_says_what_differs(name: str) -> None:
    assert name in experiments()
    text = (HERE / name / "README.md").read_text(encoding="utf-8")
    for part in ("**The claim.**", "**What differs, and why.**", "**The verdict**", f"kd-lab experiments={name}"):
        assert part in text


@pytest.mark.parametrize("name", [name for name in CHECKED if (HERE / name / index.TABLE).is_file()])
def test_the_committed_table_holds_the_published_figures_of_today(name: str) -> None:
    """A figure that is mended in expected.csv leaves a stale table.md behind."""
    lines = (HERE / name / index.TABLE).read_text(encoding="utf-8").splitlines()
    judged = [ComparedFigure(figure, None, "") for figure in read(HERE / name / FILE)]
    for row in check_table.rows(Check(name, judged, [], "")):
        told = dict(zip(check_table.COLUMNS, row, strict=True))
        [line] = [line for line in lines if line.startswith(f"| {told['row']} | {told['column']} |")]
        for column in ("theirs", "tolerance", "trap"):
            assert f"| {told[column]} |" in line, f"run kd-lab report {name} --check"


def test_the_indexes_are_current() -> None:
    found = index.pages(HERE)
    assert [path for path, _ in found] == [HERE / "README.md", root() / "README.md"]
    for path, text in found:
        assert path.read_text(encoding="utf-8") == text, "run kd-lab report --index"


def test_every_study_says_in_its_spec_what_it_shows() -> None:
    for name in experiments():
        lines = Path(HERE, f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        assert lines[1].startswith("# "), f"{name}: the second line is what the index shows"
