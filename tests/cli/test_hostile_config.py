"""A config that would run what is not kd_lab's, or write where it must not, is refused in one line; nothing is made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kd_lab.cli import check
from kd_lab.cli.compose import cell_name, register
from kd_lab.core.errors import UserError

EVIL = "{_target_: os.system, command: touch owned}"


def refused(*given: str) -> UserError:
    register()
    with pytest.raises(UserError) as caught:
        check.command(given)
    assert "\n" not in str(caught.value)
    assert not list(Path().iterdir()), "something was made"
    return caught.value


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for module, name in ((os, "system"), (subprocess, "run"), (subprocess, "Popen")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("something was run"))
    return folder


@pytest.mark.parametrize(
    ("given", "where"),
    [
        (["model._target_=os.system"], "model._target_"),
        (["model._target_=kd_lab.tracking.mlflow_tracking.NoTracking"], "model._target_"),
        (["tracking._target_=kd_lab.core.cache.Cache"], "tracking._target_"),
        (["model._target_=5"], "model._target_"),
        (["dataset.split={_target_: os.system}"], "dataset.split._target_"),
        (["teacher.model.checkpoint={_target_: os.system}"], "teacher.model.checkpoint._target_"),
        ([f"model.keep_layers=[[{{a: {EVIL}}}]]"], "model.keep_layers.0.0.a._target_"),
        ([f"+compression.x={EVIL}"], "compression.x._target_"),
        ([f"+mine=[{{a: [{EVIL}]}}]"], "mine.0.a.0._target_"),
        (["+evil=os.system", "trainer._target_=${evil}"], "trainer._target_"),
        ([f"+evil={EVIL}", "+model.x=${evil}"], "model.x._target_"),
        (["+model._partial_=true"], "model._partial_"),
        (["+model._args_=[1]"], "model._args_"),
        (["+loss._convert_=object"], "loss._convert_"),
        (["+dataset.split._recursive_=false"], "dataset.split._recursive_"),
        (["-m", "hydra.sweeper._target_=os.system", "seed=0,1"], "hydra.sweeper._target_"),
        (["-m", "hydra.launcher._target_=hydra_plugins.mine.Launcher", "seed=0,1"], "hydra.launcher._target_"),
        (["-m", f"+hydra.sweeper.x={EVIL}", "seed=0,1"], "hydra.sweeper.x._target_"),
        (["-m", f"+hydra.sweeper.params.x={EVIL}", "seed=0,1"], "hydra.sweeper.params.x._target_"),
        ([f"+hydra.launcher.x=[{EVIL}]"], "hydra.launcher.x.0._target_"),
        ([f"+hydra.callbacks.x={EVIL}"], "hydra.callbacks.x._target_"),
        ([f"+evil={EVIL}", "+hydra.callbacks.x=${evil}"], "hydra.callbacks.x._target_"),
        (["--experimental-rerun", "config.pickle"], "--experimental-rerun"),
    ],
)
def test_what_would_run_others_code_is_refused_at_its_place(given: list[str], where: str) -> None:
    assert refused(*given).where == where


@pytest.mark.parametrize("entry", ["(): os.system", "class: os.system"])
def test_a_factory_in_the_settings_of_logging_is_refused(entry: str, empty_folder: Path) -> None:
    """logging.config.dictConfig calls what stands under "()"."""
    conf = empty_folder.parent / "conf" / "hydra" / "job_logging"
    conf.mkdir(parents=True)
    (conf / "evil.yaml").write_text(f"version: 1\nhandlers: {{x: {{{entry!s}}}}}\n".replace("(): ", "'()': "))
    told = refused("--config-dir", str(conf.parents[1]), "hydra/job_logging=evil")
    assert told.where == f"hydra.job_logging.handlers.x.{entry.partition(':')[0]}"


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "..",
        ".",
        "/abs",
        "",
        "a//b",
        ".hidden",
        "a/.b",
        "~",
        "'a\\b'",
        "'a b '",
        "x" * 201,
        "ü" * 101,
    ],
)
def test_a_name_that_is_no_folder_below_the_others_is_refused(name: str) -> None:
    quoted = name if name.startswith("'") or not name else f"'{name}'"
    assert refused(f"name={quoted}").where == "name"


@pytest.mark.parametrize("given", ["seed=0\0", "name=a\udcff"])
def test_a_line_that_is_no_text_is_refused(given: str) -> None:
    assert refused(given).where == "overrides"


@pytest.mark.parametrize("folder", ["../x", ".", "/", "a/../../x", "multirun", "multirun/../x", "x" * 256])
def test_a_run_folder_that_is_no_place_of_its_own_is_refused(folder: str) -> None:
    assert refused(f"hydra.run.dir={folder}").where == "run folder"


@pytest.mark.parametrize("folder", ["../x", "."])
def test_nor_is_such_a_folder_of_a_sweep(folder: str) -> None:
    assert refused("-m", f"hydra.sweep.dir={folder}", "seed=0,1").where == "run folder"


@pytest.mark.parametrize("subdir", ["../x", "/abs"])
def test_hydras_own_files_stay_within_the_run(subdir: str) -> None:
    assert refused(f"hydra.output_subdir={subdir}").where == "hydra.output_subdir"


@pytest.mark.parametrize("given", [["name=mine"], ["name=mine/deep"], ["-m", "name=mine", "seed=0,1"]])
def test_a_study_that_is_a_link_to_elsewhere_is_refused(given: list[str], tmp_path: Path) -> None:
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    results.mkdir()
    elsewhere.mkdir()
    (results / "mine").symlink_to(elsewhere)
    told = refused(*given, f"paths.multirun={results}")
    assert told.where == "run folder"
    assert str(elsewhere) in told.got
    assert not list(elsewhere.iterdir())


def test_a_link_to_where_all_results_lie_is_the_users_own_choice(tmp_path: Path) -> None:
    (tmp_path / "big_disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "big_disk")
    register()
    check.command([f"paths.multirun={tmp_path / 'results'}"])


@pytest.mark.parametrize("value", ["x" * 300, "ü" * 119, "动" * 119, "../../x", "a\0b", "a/../b"])
def test_a_cells_name_is_one_folder_on_any_disk(value: Any) -> None:
    """119 letters of three bytes each were a name of 357 bytes: no disk takes more than 255."""
    name = cell_name(f"dataset.path={value}")
    assert len(name.encode()) <= 255
    assert "/" not in name
    assert "\0" not in name
    assert name not in ("", ".", "..")
