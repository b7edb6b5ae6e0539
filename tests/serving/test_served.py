"""The line that serves a run's model stands at the run's end, in the model's card and in what is exported."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import toy_texts
from mlflow import MlflowClient
from quick_lines import ALONE, EPOCH, STUDENT

from kd_lab.__main__ import command
from kd_lab.core import results
from kd_lab.pipeline.run import track
from kd_lab.pipeline.written_files import damaged
from kd_lab.serving.served import Served, ask, how_served, served_in
from kd_lab.tracking.mlflow_tracking import MlflowTracking

LINE = ["dataset=csv", "method=baseline", *ALONE, *STUDENT, EPOCH, "model.embedding=8"]


def own_store(folder: Path) -> str:
    """In full: MLflow keeps a store open by the name that it was given, whatever folder the process works in."""
    return f"tracking.uri=sqlite:///{folder}/multirun/mlflow.db"


def study(folder: Path, *line: str) -> Path:
    """The folder, with a cell that this line made."""
    data = toy_texts.write_csv(folder / "toy.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("KD_LAB_CACHE", str(folder / "cache"))
        assert command([*LINE, f"dataset.path={data}", *line]) == 0
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, empty_store: Callable[[Path], Path]) -> Path:
    """Where a cell was mirrored into a store of its own; not to be changed."""
    folder = tmp_path_factory.mktemp("place")
    empty_store(folder / "multirun" / "mlflow.db")
    return study(folder, "name=served", own_store(folder))


@pytest.fixture
def cell(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cell of that place, where the test stands too."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("KD_LAB_CACHE", str(place / "cache"))
    (found,) = Path("multirun/served").glob("*/result.json")
    return found.parent


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study with a cell that no store has; not to be changed."""
    return study(tmp_path_factory.mktemp("untold"), "name=late", "tracking=none") / "multirun" / "late"


@pytest.fixture
def late(
    untold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Callable[[Path], Path]
) -> tuple[Path, dict[str, str]]:
    """(a copy of that cell, the settings of a store that is empty)."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(untold, "multirun/late")
    (found,) = Path("multirun/late").glob("*/result.json")
    kind = "kd_lab.tracking.mlflow_tracking.MlflowTracking"
    store = empty_store(tmp_path / "late.db")
    return found.parent, {"_target_": kind, "uri": f"sqlite:///{store}", "artifacts": f"{tmp_path}/kept"}


def test_a_runs_end_its_card_and_its_export_hold_the_whole_line(
    cell: Path, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient(f"sqlite:///{place}/multirun/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("served").experiment_id])
    store = shlex.quote(f"sqlite:///{place}/multirun/mlflow.db")
    line = (
        f"MLFLOW_TRACKING_URI={store} mlflow models serve -m runs:/{run.info.run_id}/model --env-manager local -p 5131"
    )
    card = (cell / "model" / "README.md").read_text(encoding="utf-8").splitlines()
    assert line in card
    assert ask(pairs=False) in card
    assert damaged(cell) == []
    assert command(["export", "served", "--to", str(tmp_path / "out")]) == 0
    assert line in capsys.readouterr().out.splitlines()
    assert line in (tmp_path / "out" / "README.md").read_text(encoding="utf-8").splitlines()
    assert command([*LINE, f"dataset.path={place / 'toy.csv'}", "name=served", own_store(place)]) == 0
    assert line in capsys.readouterr().err.splitlines(), "a run that had finished before says it again"


def test_a_mirrored_run_lasts_as_long_as_its_cell(cell: Path, place: Path) -> None:
    client = MlflowClient(f"sqlite:///{place}/multirun/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("served").experiment_id])
    took = results.read(cell).durations_s
    assert took["cell"] >= sum(seconds for step, seconds in took.items() if step != "cell")
    assert (run.info.end_time - run.info.start_time) / 1000 == pytest.approx(took["cell"], abs=0.002)


def test_files_that_somebody_changed_are_left_alone(
    cell: Path, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "multirun" / "served", tmp_path / "multirun" / "served")
    monkeypatch.chdir(tmp_path)
    readme = cell / "model" / "README.md"
    readme.write_text("mine", encoding="utf-8")
    card = json.loads((cell / "model" / "classifier.json").read_text(encoding="utf-8"))
    del card["served"]
    (cell / "model" / "classifier.json").write_text(json.dumps(card), encoding="utf-8")
    assert command(["report", "served", "--sync"]) == 0
    assert readme.read_text(encoding="utf-8") == "mine"
    assert how_served(cell / "model") == []


def test_a_run_that_was_mirrored_later_is_told_of_too(late: tuple[Path, dict[str, str]]) -> None:
    cell, settings = late
    assert how_served(cell / "model") == []
    run = track(results.read(cell), cell, settings)
    assert any(f"runs:/{run}/model" in line for line in how_served(cell / "model"))
    assert damaged(cell) == []


@pytest.mark.parametrize("at", ["README.md", "classifier.json", "files.json"])
def test_a_process_that_ends_while_it_tells_is_no_damage_and_the_next_tells(
    at: str, late: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, settings = late
    seen, replace = [], os.replace

    def end(source: Path, target: Path) -> None:
        seen.append(Path(target).name)
        if at in Path(target).name and seen.count(Path(target).name) == (2 if at == "files.json" else 1):
            raise KeyboardInterrupt  # as a process that ends there
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", end)
        with pytest.raises(KeyboardInterrupt):
            track(results.read(cell), cell, settings)
    assert damaged(cell) == []
    run = track(results.read(cell), cell, settings)
    assert any(f"runs:/{run}/model" in line for line in how_served(cell / "model"))
    assert damaged(cell) == []
    (cell / "model" / "README.md").write_text("changed", encoding="utf-8")
    assert damaged(cell) == ["model/README.md"], "it is noted again"


def test_a_model_that_mlflow_does_not_keep_is_not_served(tmp_path: Path) -> None:
    assert how_served(tmp_path) == []


def test_the_store_is_named_so_that_any_folder_will_do_and_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert MlflowTracking("sqlite:///runs/m.db", "a")._served("r") == Served(f"sqlite:///{tmp_path}/runs/m.db", "r")
    served = MlflowTracking("https://me:secret@host/x", "a")._served("r")
    assert "secret" not in served.line()
    assert "'sqlite:///a b/m.db'" in Served("sqlite:///a b/m.db", "r").line()


def test_what_is_damaged_in_a_card_tells_nothing() -> None:
    for told in (None, "x", {"store": "s"}, {"store": 1, "run": "r"}):
        assert served_in({"served": told}) is None
    assert served_in({"served": {"store": "s", "run": "r", "more": 1}}) == Served("s", "r")


@pytest.mark.parametrize("pairs", [False, True])
def test_the_question_is_json_in_a_shell(pairs: bool) -> None:
    words = shlex.split(ask(pairs))
    rows = json.loads(words[-1])["dataframe_records"]
    assert words[0] == "curl"
    assert all(isinstance(row["text"], str) and ("text_pair" in row) == pairs for row in rows)
