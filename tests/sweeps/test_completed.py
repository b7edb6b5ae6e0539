"""A stamp holds only while overrides, code, conf/, packages, places and data mean what they meant."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from kd_lab.cli.compose import register
from kd_lab.core import trust
from kd_lab.core.cache import Cache, file_hash, forget_inputs, inputs
from kd_lab.core.paths import root
from kd_lab.sweeps import completed

OVERRIDES = ["dataset=csv", "loss.temperature=2", "seed=1"]


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study whose one cell was made from one data file."""
    forget_inputs()
    data = tmp_path / "data.csv"
    data.write_text("text,label\n")
    file_hash(data)
    folder = tmp_path / "study"
    folder.mkdir()
    forget()
    completed.write(folder, OVERRIDES, "cell", "abc")
    yield folder
    forget()


def forget() -> None:
    """What a new process does not know."""
    completed.forget()


def test_a_stamp_is_found_by_the_overrides_in_their_order(study):
    assert completed.read(study, OVERRIDES) == ("cell", "abc")
    assert completed.read(study, OVERRIDES[::-1]) is None
    assert completed.read(study, [*OVERRIDES, "trainer.max_epochs=1"]) is None
    assert completed.read(study.parent, OVERRIDES) is None


ENDS = {
    "other data": lambda study, _: (study.parent / "data.csv").write_text("text,label\nmore,a\n"),
    "a data file that is gone": lambda study, _: (study.parent / "data.csv").unlink(),
    "another folder, since paths may be relative": lambda study, patch: patch.chdir(study),
    **{
        f"another {name}": lambda _, patch, name=name: patch.setenv(name, "/elsewhere")
        for name in ("KD_LAB_DATA", "KD_LAB_WEIGHTS", "CUDA_VISIBLE_DEVICES")
    },
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_stamp_ends_with(study, monkeypatch, end):
    end(study, monkeypatch)
    forget()
    assert completed.read(study, OVERRIDES) is None


def test_other_code_or_conf_ends_it(study, monkeypatch):
    """The world is a hash over every source and YAML; here one more file appears."""
    sources = completed._sources
    (study / "new.yaml").write_text("a: 1\n")
    monkeypatch.setattr(completed, "_sources", lambda place: [*sources(place), study / "new.yaml"])
    forget()
    assert completed.read(study, OVERRIDES) is None


def test_so_does_a_change_of_ones_own_code_or_conf(tmp_path, monkeypatch):
    for name in ("my_own_losses/__init__.py", "my_own_losses/focal.py", "my_conf/loss/focal.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    trust.trust_packages(["my_own_losses"])
    completed.look_in([{"schema": "file", "path": str(tmp_path / "my_conf")}, {"schema": "pkg", "path": "hydra.conf"}])
    seen = {completed.environment_hash()}
    for name in ("my_own_losses/focal.py", "my_conf/loss/focal.yaml"):
        (tmp_path / name).write_text("# other\n")
        forget()
        seen.add(completed.environment_hash())
    trust.trust_packages(())
    completed.look_in(())
    assert len({*seen, completed.environment_hash()}) == 4


def test_kd_labs_own_checkout_is_not_looked_through_for_what_its_searchpath_finds(monkeypatch):
    """conf/config.yaml names its root, where `.venv` and multirun/ lie beside conf/ and experiments/."""
    register()
    with initialize_config_dir(str(root() / "conf"), version_base="1.3"):
        sources = hydra_compose("config", return_hydra_config=True).hydra.runtime.config_sources
    seen = []
    monkeypatch.setattr(completed, "_sources", lambda place, *_: seen.append(place) or [])
    completed.look_in(sources)
    forget()
    completed.environment_hash()
    completed.look_in(())
    assert root() not in seen
    assert root() / "conf" in seen


def test_a_damaged_stamp_is_none(study):
    [path] = (study / completed.FOLDER).glob("*.json")
    for text in ("", "[]", "{}", json.dumps({"world": completed.environment_hash(), "inputs": {}})):
        path.write_text(text)
        assert completed.read(study, OVERRIDES) is None


def test_a_workers_stamp_is_adopted_with_its_inputs(study, monkeypatch):
    """A SLURM node has other features than the machine that launched it."""
    [path] = (study / completed.FOLDER).glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "world": "another"}))
    assert completed.read(study, OVERRIDES) is None
    completed.adopt(study, OVERRIDES)
    assert completed.read(study, OVERRIDES) == ("cell", "abc")
    os.utime(study.parent / "data.csv", ns=(1, 1))
    forget()
    assert completed.read(study, OVERRIDES) is None


def test_there_is_nothing_to_adopt_where_no_cell_finished(tmp_path: Path):
    completed.adopt(tmp_path, OVERRIDES)
    assert not (tmp_path / completed.FOLDER).exists()


def test_a_disk_that_takes_no_stamp_costs_a_warning(study, monkeypatch, capsys):
    """The result is there; the next line looks the cell up by its config."""

    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(completed, "write_atomically", full)
    completed.write(study, ["seed=2"], "cell", "abc")
    assert completed.read(study, ["seed=2"]) is None
    assert "No space left on device" in capsys.readouterr().err


def test_what_an_earlier_command_of_this_process_read_is_no_input(study):
    """A notebook's second sweep does not hang on the first one's files."""
    earlier = study.parent / "earlier.csv"
    earlier.write_text("text,label\n")
    file_hash(earlier)
    forget_inputs()
    file_hash(study.parent / "data.csv")
    completed.write(study, OVERRIDES, "cell", "abc")
    earlier.unlink()
    forget()
    assert completed.read(study, OVERRIDES) == ("cell", "abc")


def test_an_input_is_found_again_from_any_folder(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    forget_inputs()
    file_hash(Path("data.csv"))
    monkeypatch.chdir(study)
    assert inputs() == {str(study.parent / "data.csv"): (11, (study.parent / "data.csv").stat().st_mtime_ns)}


def test_an_artifact_is_no_input(study):
    """The tokenizer of a trimmed vocabulary is hashed where it was made, in a cache."""
    made = Cache(study.parent / "cache").build("tokenizer", {"a": 1}, lambda draft: (draft / "tokenizer.json").touch())
    before = inputs()
    file_hash(made / "tokenizer.json")
    assert inputs() == before
