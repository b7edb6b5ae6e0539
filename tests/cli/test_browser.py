"""`kd-lab ui` in a real browser: runs, parent and children, comparison, parallel coordinates, pictures."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow_pages import Pages, chromium, compare_link, served
from PIL import Image

from kd_lab.core.results import RunResult
from kd_lab.evaluation import confusion
from kd_lab.tracking.mlflow_store import connect
from kd_lab.tracking.mlflow_tracking import MlflowTracking

pytestmark = [pytest.mark.browser, pytest.mark.integration]

STUDY = "heat"
CELLS = {
    f"loss.temperature={temperature},loss.alpha={alpha}": (temperature, alpha)
    for temperature, alpha in itertools.product((1, 2, 4), (0.1, 0.5))
}
BEST_FIRST = sorted(CELLS, key=lambda cell: -(CELLS[cell][0] - CELLS[cell][1]))


@pytest.fixture(scope="module")
def multirun(tmp_path_factory: pytest.TempPathFactory, empty_store: Callable[[Path], Path]) -> Path:
    """Six cells of a sweep under one parent with a picture of its own, and an older study."""
    folder: Path = tmp_path_factory.mktemp("a place") / "multirun"
    picture = folder.with_name("confusion.png")
    confusion.draw([0, 1, 1, 0], [0, 1, 0, 0], ["bad", "good"], picture)
    heatmap = folder.with_name("heatmap.png")
    Image.new("RGB", (123, 45), "orange").save(heatmap)
    store = MlflowTracking(f"sqlite:///{empty_store(folder / 'mlflow.db')}", str(folder / "mlartifacts"))
    assert store.mirror(RunResult("older", "only", "finished", {"seed": 1}), {}, None)
    store.begin(STUDY)
    results = []
    for cell, (temperature, alpha) in CELLS.items():
        accuracy = 0.8 + 0.02 * temperature - 0.02 * alpha
        result = RunResult(
            STUDY,
            cell,
            "finished",
            config={"seed": 1, "loss": {"temperature": temperature, "alpha": alpha}},
            metrics={"test": {"accuracy": accuracy}},
            cost={"size_mib": 8.0, "latency_ms": {"p50": 1 + temperature / 10}},
            history=[{"train/loss": 1 / epoch, "validation/accuracy": accuracy - 0.3 / epoch} for epoch in (1, 2, 3)],
        )
        assert store.mirror(result, {"confusion.png": picture}, None, parent=True)
        results.append(result)
    assert store.mirror_study(results, {"heatmap.png": heatmap}, {"best/accuracy": 0.87}, {"kd_lab.verdict": "4"})
    return folder


@pytest.fixture(scope="module")
def link(multirun: Path) -> Iterator[str]:
    with served(multirun, STUDY) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with chromium(tmp_path_factory.mktemp("failures")) as found:
        yield found


def ids(multirun: Path) -> dict[str, str]:
    """Name -> id of the study's runs."""
    client = connect(f"sqlite:///{multirun}/mlflow.db")
    experiment = client.get_experiment_by_name(STUDY).experiment_id
    return {run.info.run_name: run.info.run_id for run in client.search_runs([experiment])}


def test_the_link_opens_the_studys_runs_with_their_measures_best_first(link: str, pages: Pages) -> None:
    pages.open(link)
    pages.wait("runs by accuracy", lambda: pages.rows() == [*BEST_FIRST, STUDY])
    assert pages.find("[data-testid=experiment-link]").text == STUDY
    for column in ("test/accuracy", "cost/size_mib", "loss.temperature", "loss.alpha"):
        assert pages.driver.find_elements("css selector", f"[data-testid='sort-header-{column}']"), column
    assert "Detect Issues" not in pages.driver.find_element("tag name", "body").text


def test_the_sweeps_run_unfolds_into_its_cells(link: str, pages: Pages) -> None:
    pages.open(link)
    pages.wait("runs", lambda: len(pages.rows()) == 7)
    pages.click(lambda: pages.find("[data-testid=sort-header-Created]"), "header to sort by")
    pages.wait("the parent alone", lambda: pages.rows() == [STUDY])
    pages.click(lambda: pages.row(STUDY).find_element("css selector", "[col-id*='Run Name'] button"), "expander")
    pages.wait("the cells below it", lambda: pages.rows()[:1] == [STUDY] and set(pages.rows()[1:]) == set(CELLS))


def test_two_runs_are_ticked_and_compared(link: str, pages: Pages) -> None:
    pages.open(link)
    pages.wait("runs", lambda: len(pages.rows()) == 7)
    for cell in BEST_FIRST[:2]:
        pages.click(lambda cell=cell: pages.row(cell).find_element("css selector", ".ag-checkbox-input"), cell)  # type: ignore[misc]
    pages.click(lambda: pages.text("Compare"), "button")
    pages.text("Comparing 2 Runs from 1 Experiment")
    said = pages.driver.find_element("tag name", "body").text
    assert all(cell in said for cell in BEST_FIRST[:2])
    assert not any(cell in said for cell in BEST_FIRST[2:])


def test_parallel_coordinates_draw_a_line_a_run(link: str, pages: Pages, multirun: Path) -> None:
    server, _, page = link.partition("/#/experiments/")
    runs = ids(multirun)
    pages.open(compare_link(server, page.partition("/")[0], [runs[cell] for cell in CELLS]))
    pages.wait("three axes", lambda: len(pages.driver.find_elements("css selector", ".parcoords .y-axis")) == 3)
    pages.wait("lines in colour", lambda: pages.colours(".gl-canvas-context") > 200)


def test_the_chart_view_starts_with_all_runs_side_by_side(link: str, pages: Pages) -> None:
    pages.open(f"{link}&compareRunsMode=CHART")
    pages.text("All runs side by side")
    axes = "[data-testid='experiment-view-compare-runs-chart-area'] .parcoords g.dimension"
    pages.wait("two options and two measures", lambda: len(pages.driver.find_elements("css selector", axes)) == 4)
    pages.wait("lines in colour", lambda: pages.colours(".parcoords") > 200)


@pytest.mark.parametrize(
    ("run", "picture", "width"), [(BEST_FIRST[0], "confusion.png", None), (STUDY, "heatmap.png", 123)]
)
def test_a_runs_picture_opens(
    link: str, pages: Pages, multirun: Path, run: str, picture: str, width: int | None
) -> None:
    pages.open(link)
    pages.click(lambda: pages.row(run).find_element("css selector", "a"), run)
    pages.click(lambda: pages.text("Artifacts"), "tab")
    pages.click(lambda: pages.text(picture), "file")
    expected = width or Image.open(multirun.with_name(picture)).width
    natural = "return [...document.images].map(image => image.naturalWidth)"
    pages.wait(f"{picture} as large as it is", lambda: expected in pages.driver.execute_script(natural))


def test_no_page_asks_anybody_off_this_machine(link: str, pages: Pages) -> None:
    pages.open(link)
    pages.wait("runs", lambda: len(pages.rows()) == 7)
    assert pages.strangers() == []
