"""A draft is held while it is written; one that a killed process left is cleared by the next, and nothing else is."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kd_lab.core import drafts

KILLED = """
import os, signal, sys
from pathlib import Path
from kd_lab.core import drafts

path = Path(sys.argv[1])
with drafts.atomic_file(path) as file, drafts.temporary_folder(path.parent, ".export-") as folder:
    file.write("half")
    file.flush()
    (folder / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(path: Path) -> None:
    with drafts.atomic_file(path) as file:
        file.write("{}")


def test_what_a_killed_process_left_is_cleared_and_the_earlier_file_stays_until_then(tmp_path: Path) -> None:
    path = tmp_path / "a[1].json"
    path.write_text("earlier")
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == -signal.SIGKILL
    assert path.read_text() == "earlier"
    assert [name[:-12] for name in names(tmp_path)] == [".a[1].json.draft-", ".export-", ""]
    (left,) = drafts.abandoned(tmp_path, ".export-")
    assert names(left) == ["half"]
    write(path)
    assert names(tmp_path) == [left.name, "a[1].json"]
    assert path.read_text() == "{}"


def test_drafts_of_killed_processes_are_cleared_and_those_that_are_being_written_stay(tmp_path: Path) -> None:
    dead, alive = tmp_path / ".a.json.draft-1", tmp_path / ".a.json.draft-2"
    dead.touch()
    with alive.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write(tmp_path / "a.json")
        assert names(tmp_path) == [".a.json.draft-2", "a.json"]
    write(tmp_path / "a.json")
    assert names(tmp_path) == ["a.json"]


def test_a_folder_is_held_while_it_is_filled_and_gone_at_the_end(tmp_path: Path) -> None:
    with drafts.temporary_folder(tmp_path, ".export-") as folder:
        (folder / "file").touch()
        assert list(drafts.abandoned(tmp_path, ".export-")) == []
    assert names(tmp_path) == []


def test_what_is_not_named_as_a_draft_of_ours_is_let_be(tmp_path: Path) -> None:
    theirs = [
        ".a.json.draft-Of mine",
        ".a.json.draft-2026-11-21",
        ".a.json.draft-longerthanours",
        ".a.json.draft-",
        ".b.json.draft-1",
        "a.json.draft-1",
    ]
    for name in theirs:
        (tmp_path / name).touch()
    (tmp_path / ".a.json.draft-link").symlink_to(tmp_path / ".b.json.draft-1")
    before = names(tmp_path)
    write(tmp_path / "a.json")
    assert names(tmp_path) == sorted([*before, "a.json"])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_draft_that_another_process_cleared_before_it_was_locked_is_begun_anew(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_lock, locked = fcntl.flock, []

    def flock(handle: int, how: int) -> None:
        if not locked:
            (draft,) = tmp_path.glob(".*-*")
            draft.rmdir() if draft.is_dir() else draft.unlink()
        locked.append(handle)
        true_lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    if kind == "file":
        write(tmp_path / "a.json")
        assert (tmp_path / "a.json").read_text() == "{}"
    else:
        with drafts.temporary_folder(tmp_path, ".export-") as folder:
            assert folder.is_dir()
    assert len(locked) == 2


def test_a_folder_that_another_process_cleared_before_it_was_opened_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_mkdir, made = Path.mkdir, []

    def mkdir(path: Path) -> None:
        true_mkdir(path)
        made.append(path)
        if len(made) == 1:
            path.rmdir()

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with drafts.temporary_folder(tmp_path, ".export-") as folder:
        assert folder == made[1]


def test_where_there_is_no_folder_nothing_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), drafts.atomic_file(tmp_path / "nowhere" / "a.json"):
        pass
    with pytest.raises(FileNotFoundError), drafts.temporary_folder(tmp_path / "nowhere", ".export-"):
        pass


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_file_has_the_rights_that_the_users_umask_gives(tmp_path: Path, umask: int, rights: int) -> None:
    before = os.umask(umask)
    try:
        write(tmp_path / "a.json")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == rights
