"""Through the command line: what a user keeps in a folder outlives a typo, a run and a run that fails."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy_texts
from omegaconf import OmegaConf
from quick_lines import ALONE, EPOCH, STUDENT, TOY

from kd_lab.__main__ import command
from kd_lab.cli.compose import compose
from kd_lab.core import results
from kd_lab.core.errors import FitError, UserError
from kd_lab.core.results import RunResult
from kd_lab.pipeline import run

QUICK = [*TOY, *STUDENT, EPOCH, *ALONE]
AT_ONCE = """
import os, sys
from kd_lab.__main__ import main
from kd_lab.core.process_tuning import first_import

with first_import():  # once for all three
    import kd_lab.cli.finish, kd_lab.cli.run, kd_lab.data.csv, kd_lab.models.lstm_attention, kd_lab.pipeline.run

for number in range(3):
    if not os.fork():
        os.dup2(os.open(f"said{number}", os.O_WRONLY | os.O_CREAT), 2)
        main()
sys.exit(any([os.wait()[1] for _ in range(3)]))
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the data set, and files of the user's in `mine`."""
    folder = tmp_path / "work"
    (folder / "mine" / "model").mkdir(parents=True)
    (folder / "toy.csv").write_bytes(toy_csv.read_bytes())
    (folder / "mine" / "thesis.txt").write_text("years of work")
    (folder / "mine" / "model" / "weights.bin").write_text("mine")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which one line ran, with its cache; not to be changed."""
    folder = tmp_path_factory.mktemp("ran")
    toy_texts.write_csv(folder / "toy.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KD_LAB_CACHE", str(folder / "cache"))
        assert command([*QUICK, "name=plain"]) == 0
    return folder


def kept(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", ["hydra.run.dir=.", "hydra.run.dir=mine"])
@pytest.mark.parametrize("path", ["typo.csv", "toy.csv"])
def test_a_run_folder_with_files_of_the_users_is_refused_and_untouched(workplace, capsys, where, path):
    before = kept(workplace)
    assert command([*QUICK, where, f"dataset.path={path}"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.search("expected (an empty folder or that of an earlier run|a folder of the run's own), got", told)
    assert kept(workplace) == before


def test_after_a_mistake_only_what_the_run_made_is_gone(workplace):
    before = kept(workplace)
    (workplace / "empty").mkdir()
    assert command([*QUICK, "hydra.run.dir=empty", "dataset.path=typo.csv"]) == 2
    assert command([*QUICK, "hydra.run.dir=new/deep", "dataset.path=typo.csv"]) == 2
    assert command([*QUICK, "name=new", "dataset.path=typo.csv"]) == 2
    assert kept(workplace) == before
    assert sorted(path.name for path in workplace.iterdir()) == ["empty", "mine", "toy.csv"]


def test_a_sweep_writes_over_no_report_of_somebody_elses(workplace, capsys):
    (workplace / "mine" / "report").mkdir()
    (workplace / "mine" / "report" / "table.md").write_text("mine")
    before = kept(workplace)
    assert command(["-m", *QUICK, "paths.multirun=.", "name=mine", "seed=0,1"]) == 2
    assert "expected the folder of a sweep, or a new one, got one with report" in capsys.readouterr().err
    assert kept(workplace) == before


@pytest.mark.parametrize("given", [["hydra.sweep.dir=mine", "seed=0,1"], ["name=a,b"], ["paths.multirun=a,b"]])
def test_a_sweep_has_one_place_where_its_report_is_looked_for(workplace, capsys, given):
    before = kept(workplace)
    assert command(["-m", *QUICK, *given]) == 2
    assert f"{given[0].partition('=')[0]}: expected " in capsys.readouterr().err
    assert kept(workplace) == before


@pytest.mark.parametrize("sweeper", ["grid", "optuna"])
def test_a_sweep_that_was_killed_while_hydra_wrote_its_config_goes_on(workplace, monkeypatch, sweeper):
    one_cell = {"grid": ["seed=1"], "optuna": ["optimizer.encoder_lr=0.001,0.01", "hydra.sweeper.trials=1"]}
    sweep = ["-m", *QUICK, "name=cut", f"hydra/sweeper={sweeper}", *one_cell[sweeper]]

    def cut_off(config, path):
        Path(path).write_text("")
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(OmegaConf, "save", cut_off)
        with pytest.raises(MemoryError):
            command(sweep)
    assert (workplace / "multirun" / "cut" / "multirun.yaml").read_text() == ""
    assert command(sweep) == 0


def test_a_cells_model_shares_no_file_with_the_cache(ran):
    files = [path for name in ("multirun", "cache") for path in (ran / name).rglob("*") if path.is_file()]
    assert len({path.relative_to(ran).parts[0] for path in files}) == 2
    assert [path for path in files if path.stat().st_nlink > 1] == []


def test_a_model_from_a_cache_that_may_only_be_read_may_be_written_to(ran, workplace, own_cache):
    shutil.copytree(ran / "cache", own_cache.root)
    models = list(own_cache.root.glob("fit/*/model"))
    assert models
    for folder in models:
        folder.chmod(0o555)
    assert command([*QUICK, "name=again"]) == 0
    assert list(own_cache.root.glob("fit/*/model")) == models
    [model] = (workplace / "multirun" / "again").glob("*/model")
    assert model.stat().st_mode & 0o200


@pytest.mark.parametrize(
    "error", [FitError("the measuring process died"), UserError("x", expected="a", got="b", cure="c")]
)
def test_a_run_that_fails_leaves_an_earlier_result_and_lies_beside_it(workplace, error):
    folder = workplace / "multirun" / "runs" / "cell"
    RunResult("runs", "cell", "finished", {}, metrics={"test": {"accuracy": 1.0}}).write(folder)
    before = (folder / results.FILE).read_bytes()
    run.failed(compose([*QUICK]), folder, error)
    assert (folder / results.FILE).read_bytes() == before
    assert results.attempt(folder).status == "failed"
    assert str(error) in str(results.attempt(folder).error)


def test_a_failure_is_recorded_over_a_failure(workplace):
    folder = workplace / "multirun" / "runs" / "cell"
    for text in ("first", "second"):
        run.failed(compose([*QUICK]), folder, FitError(text))
    assert results.read(folder).error == "second"
    assert not (folder / results.FAILED).exists()


def test_a_sweep_in_which_a_cell_fails_anew_keeps_its_result_and_ends_with_1(workplace, monkeypatch, capsys):
    line = ["-m", *QUICK, "name=again", "seed=0,1"]
    assert command(line) == 0
    before = {
        path.parent.name: json.loads(path.read_text())["metrics"] for path in workplace.glob("*/again/*/result.json")
    }
    for stamp in workplace.glob("multirun/again/.stamps/*.json"):
        stamp.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(run, "finished", lambda *_: None)  # as after a change of the code
        patch.setattr(run.Cell, "cost", lambda *_, **__: (_ for _ in ()).throw(FitError("measuring died")))
        assert command(line) == 1
    assert "failed: measuring died" in capsys.readouterr().err
    cells = workplace.glob("multirun/again/*/result.json")
    assert {path.parent.name: json.loads(path.read_text())["metrics"] for path in cells} == before
    assert command(line) == 0, "the next line finds what had finished"
    assert not list(workplace.glob("multirun/again/*/failed.json"))


@pytest.mark.slow
def test_the_same_line_at_once_is_one_fit_and_one_result(workplace, own_cache):
    done = subprocess.run([sys.executable, "-c", AT_ONCE, *QUICK, "name=once"], check=False)
    said = [(workplace / f"said{number}").read_text() for number in range(3)]
    assert done.returncode == 0, said
    assert sum("done fit student" in text for text in said) == 1
    [cell] = results.collect(workplace / "multirun" / "once")
    assert cell.status == "finished"


def test_hydra_leaves_no_files_of_its_own_in_a_run(ran):
    [folder] = (ran / "multirun" / "plain").glob("[!.]*")
    assert not (folder / ".hydra").exists(), "config and overrides stand in result.json"
