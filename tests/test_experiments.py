"""What experiments/ claims: every published figure names its source and a row that the spec's cells have."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from bindings import assert_binds, targets
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from kd_lab.cli.check_settings import settings
from kd_lab.cli.compose import CONF, compose, experiments, register
from kd_lab.core.paths import root
from kd_lab.core.results import RunResult
from kd_lab.pipeline.run import resolved_config
from kd_lab.report.published import check_table, index
from kd_lab.report.published.check import Check, ComparedFigure, compare_figure
from kd_lab.report.published.expected import FILE, Row, read
from kd_lab.report.published.measured import of_row
from kd_lab.report.study.runs import run
from kd_lab.sweeps.search import space

HERE = root() / "experiments"
CHECKED = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.rglob(FILE))
each_checked = pytest.mark.parametrize("name", CHECKED)


# what the cells of a spec are called: its axes, read as the sweep reads them


@cache
def axes(name: str) -> Sequence[Override]:
    """The axes of a spec."""
    register()
    with initialize_config_dir(CONF, version_base="1.3"):
        params = hydra_compose("config", [f"experiments={name}"], return_hydra_config=True).hydra.sweeper.params
    found: list[Override] = OverridesParser.create().parse_overrides(
        [f"{key}={value}" for key, value in params.items()]
    )
    return found


def seeds(name: str) -> Sequence[int]:
    """The values of its axis `seed`; 0, the default, where it has none."""
    return next(([int(one) for one in axis.sweep_string_iterator()] for axis in axes(name) if _is_seed(axis)), [0])


def choices(name: str) -> Sequence[Sequence[str]]:
    """The overrides of each cell of one seed; of a search those of a few, which show each choice and both ends."""
    found = [axis for axis in axes(name) if not _is_seed(axis)]
    if not all(axis.is_discrete_sweep() for axis in found):
        return space.read(found).examples()
    return list(
        itertools.product(*([f"{one.get_key_element()}={it}" for it in one.sweep_string_iterator()] for one in found))
    )


@cache
def configs(name: str) -> Sequence[tuple[Sequence[str], Mapping[str, Any]]]:
    """(overrides, config) of each of `choices`; one choice of groups is composed once, and then given its values."""
    composed: dict[tuple[str, ...], Any] = {}
    found = []
    for choice in choices(name):
        groups = tuple(one for one in choice if Path(CONF, one.partition("=")[0].partition("@")[0]).is_dir())
        if groups not in composed:
            composed[groups] = compose([f"experiments={name}", *groups])
        config = copy.deepcopy(composed[groups])
        values = OverridesParser.create().parse_overrides([one for one in choice if one not in groups])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        found.append((choice, resolved_config(config)))
    return found


def _is_seed(axis: Override) -> bool:
    return axis.get_key_element() == "seed"


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
