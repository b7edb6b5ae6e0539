"""A run writes into folders of its own, one process at a time, and takes away what it made and nothing else."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from filelock import Timeout

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.pipeline import run_folder
from kd_lab.pipeline.run_folder import LOCK, cell_lock, check_cell, check_study, file_lock, give_back, missing_folders


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def with_notes(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")


@pytest.mark.parametrize("theirs", ["notes.txt", "model/weights.bin", "result.json"])
def test_a_folder_that_is_not_kd_labs_is_refused_and_left_as_it_is(tmp_path: Path, theirs: str) -> None:
    (tmp_path / theirs).parent.mkdir(exist_ok=True)
    (tmp_path / theirs).write_text('{"accuracy": 1}')
    before = listing(tmp_path)
    with pytest.raises(UserError, match="expected an empty folder or that of an earlier run"), cell_lock(tmp_path):
        pass
    assert listing(tmp_path) == before


def test_a_link_or_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    for name, got in (("link", "a symbolic link"), ("file", "a file")):
        with pytest.raises(UserError, match=got):
            check_cell(tmp_path / name)


def test_a_folder_of_an_earlier_run_is_taken_also_with_notes_of_the_users(tmp_path: Path) -> None:
    with cell_lock(tmp_path):
        pass
    with_notes(tmp_path)
    with cell_lock(tmp_path):
        assert (tmp_path / LOCK).is_file()


def test_a_folder_of_kd_lab_0_1_has_no_lock_and_is_taken(tmp_path: Path) -> None:
    RunResult("runs", "cell", "finished", {}).write(tmp_path / "cell")
    check_cell(tmp_path / "cell")
    (tmp_path / "cut" / ".hydra").mkdir(parents=True)
    check_cell(tmp_path / "cut")


def test_what_is_given_back_is_what_was_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    folder = tmp_path / "there" / "study" / "cell"
    made = missing_folders(folder)
    with cell_lock(folder):
        pass
    give_back(folder, made)
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_folder_that_was_there_empty_stays(tmp_path: Path) -> None:
    made = missing_folders(tmp_path)
    with cell_lock(tmp_path):
        pass
    give_back(tmp_path, made)
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_what_somebody_put_there_meanwhile_stays(tmp_path: Path) -> None:
    folder = tmp_path / "study" / "cell"
    made = missing_folders(folder)
    with cell_lock(folder):
        with_notes(folder.parent)
    give_back(folder, made)
    assert [path.name for path in tmp_path.rglob("*")] == ["study", "notes.txt"]


def _enter(folder: Path, sender: multiprocessing.connection.Connection) -> None:
    said: list[str] = []
    run_folder.say = said.append  # type: ignore[assignment]
    with cell_lock(folder):
        sender.send((said, (folder / "done").is_file()))


def test_the_second_process_waits_says_so_and_comes_in_when_the_first_is_done(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    folder = tmp_path / "study" / "cell"
    with cell_lock(folder):
        second = context.Process(target=_enter, args=(folder, sender))
        second.start()
        assert not receiver.poll(0.5), "it came in beside the first"
        (folder / "done").touch()
    said, done = receiver.recv()
    second.join()
    assert done
    assert said == ["another process runs study/cell: waiting for it"]


class HeldElsewhere:
    """A lock that another process holds until somebody is ready to wait for it."""

    def __init__(self, path: Path) -> None:
        self.held = 0

    def acquire(self, timeout: float | None = None) -> None:
        if timeout == 0:
            raise Timeout("held")
        self.held += 1

    def release(self) -> None:
        self.held -= 1


@pytest.mark.parametrize("waiting", ["another process is at work", None])
def test_who_waits_says_so_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: str | None) -> None:
    said: list[str] = []
    monkeypatch.setattr(run_folder, "say", said.append)
    monkeypatch.setattr(run_folder, "FileLock", HeldElsewhere)
    with file_lock(tmp_path / LOCK, waiting):
        pass
    assert said == [waiting] * (waiting is not None)


def test_of_a_run_in_a_folder_that_holds_more_the_lock_stays(tmp_path: Path) -> None:
    with cell_lock(tmp_path):
        with_notes(tmp_path)
    give_back(tmp_path, [])
    assert {path.name for path in tmp_path.iterdir()} == {LOCK, "notes.txt"}


@pytest.mark.parametrize("name", ["sweep.json", "report", "multirun.yaml"])
def test_a_sweep_does_not_write_over_what_is_not_a_sweeps(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if name == "report" else (tmp_path / name).write_text("mine: 1")
    with pytest.raises(UserError, match=f"got one with {name}"):
        check_study(tmp_path)


def test_a_sweeps_folder_is_taken_again(tmp_path: Path) -> None:
    check_study(tmp_path / "none")
    (tmp_path / "sweep" / "report").mkdir(parents=True)
    results.note_axes(tmp_path / "sweep", [], [["seed=1"]])
    check_study(tmp_path / "sweep")
    (tmp_path / "refused").mkdir()  # Hydra writes its file before a batch is looked at
    (tmp_path / "refused" / "multirun.yaml").write_text("model: {_target_: kd_lab.models.x}")
    check_study(tmp_path / "refused")
    (tmp_path / "single" / "report").mkdir(parents=True)
    RunResult("single", "cell", "finished", {}).write(tmp_path / "single" / "cell")
    check_study(tmp_path / "single")


def test_what_a_killed_process_was_writing_is_taken_away_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    (folder / LOCK).touch()
    mine = folder / ".mine.draft-1"
    for path in (folder / ".result.json.draft-1", folder / ".error.txt.draft-abc", mine):
        path.touch()
    with cell_lock(folder):
        assert {path.name for path in folder.iterdir()} == {LOCK, mine.name}
