"""A grid over groups: an option that some groups lack is left out where it has no meaning, and that is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_automatic_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import setup_globals
from hydra.types import RunMode

from kd_lab.cli.compose import register
from kd_lab.core.errors import UserError


def cells(*given: str, finished: Sequence[Sequence[str]] = ()) -> list[str]:
    """The cells that a line launches, each as text."""
    register()
    setup_globals()
    loader = ConfigLoaderImpl(create_automatic_config_search_path(None, None, str(Path("conf").absolute())))
    sweeper = Plugins.instance().class_name_to_class["hydra_plugins.kd_lab.grid_sweeper.GridSweeper"]()
    sweeper._meaningless = {}
    sweeper.config = loader.load_configuration("config", list(given), RunMode.MULTIRUN)
    sweeper.hydra_context = SimpleNamespace(config_loader=loader)
    sweeper.launcher = SimpleNamespace(unfinished=lambda jobs: [one for one in jobs if one not in finished])
    (batch,) = sweeper.split_arguments(OverridesParser.create().parse_overrides(list(given)), None)
    return [" ".join(one) for one in batch]


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    monkeypatch.chdir(pytestconfig.rootpath)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_an_option_without_meaning_in_a_method_makes_no_cells_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cells("method=baseline,distilled", "loss.temperature=2,4") == [
        "method=baseline",
        "method=distilled loss.temperature=2",
        "method=distilled loss.temperature=4",
    ]
    told = "loss.temperature has no meaning for method=baseline (loss=cross_entropy has no such option)"
    assert said(capsys) == f"{told}: 1 cell instead of 2"


def test_other_axes_stay_for_cells_that_lack_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    found = cells("loss=cross_entropy,hybrid", "loss.alpha=0.2,0.5", "seed=0,1")
    assert found[:2] == ["loss=cross_entropy seed=0", "loss=cross_entropy seed=1"]
    assert len(found) == 2 + 4
    assert "loss.alpha has no meaning for loss=cross_entropy: 2 cells instead of 4" in said(capsys)


def test_a_teacher_and_a_step_can_be_missing_too() -> None:
    assert cells("teacher=none,minilm", "teacher.seed=0,1", "loss=cross_entropy") == [
        "teacher=none loss=cross_entropy",
        "teacher=minilm teacher.seed=0 loss=cross_entropy",
        "teacher=minilm teacher.seed=1 loss=cross_entropy",
    ]
    found = cells("compression=[],[prune_l1]", "compression.prune_l1.amount=0.3,0.5")
    assert [one.count("amount") for one in found] == [0, 1, 1]


def test_an_option_that_no_cell_has_is_refused_by_a_line_that_names_option_and_group() -> None:
    with pytest.raises(UserError) as caught:
        cells("loss=cross_entropy,kl", "loss.temperature=2,4")
    assert caught.value.where == "override loss.temperature"
    assert "loss=cross_entropy has" in str(caught.value)
    assert "loss=hybrid" in caught.value.cure


def test_a_cell_with_a_wrong_value_is_refused_before_any_is_launched() -> None:
    with pytest.raises(UserError) as caught:
        cells("seed=0,x")
    assert caught.value.where == "seed"
    with pytest.raises(UserError) as caught:
        cells("name=mine,../x", "seed=0")
    assert caught.value.where == "name"


def test_a_cell_that_has_finished_is_not_composed() -> None:
    assert cells("seed=0,x", finished=[["seed=x"]]) == ["seed=0", "seed=x"]
