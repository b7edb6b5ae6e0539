"""A cache is marked, only what is its own is ever deleted, and nothing that is in use; others may share it."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest

import kd_lab
from kd_lab.__main__ import command
from kd_lab.core import cache as cache_module
from kd_lab.core import cache_folder, cache_gc, cache_lock
from kd_lab.core.cache import Cache
from kd_lab.core.cache_folder import KINDS, MANIFEST, OURS, SIGNATURE, TAG, lock_of
from kd_lab.core.errors import UserError
from kd_lab.core.progress import say

PARTS = {"a": 1}
HEX = "0123456789abcdef"
DAY_S = 86_400
NOBODY = 65_534


def write(draft: Path) -> None:
    (draft / "rows").write_text("rows")


def grow_old(path: Path, days: float = 40) -> None:
    """As if it had last been used so long ago; a negative number is the future."""
    then = time.time() - days * DAY_S
    for one in (path, *path.rglob("*")):
        os.utime(one, (then, then), follow_symlinks=False)


def listed(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact that nobody uses."""
    return Cache(tmp_path).build("fit", PARTS, write)


def earlier(root: Path) -> Path:
    """A cache as the versions before the mark left it."""
    folder = Cache(root).build("fit", PARTS, write)
    (root / TAG).unlink()
    (root / "fit" / f".{HEX}.unfinished").mkdir()
    (root / "fit" / f".{HEX}.draft-k_3x9").mkdir()
    (root / "tokens").mkdir()
    return folder


# the mark


def test_a_new_cache_is_marked_by_the_standard_tag(own_cache: Cache) -> None:
    own_cache.build("fit", PARTS, write)
    lines = (own_cache.root / TAG).read_text().splitlines()
    assert lines[0] == SIGNATURE == "Signature: 8a477f597d28d172789f06886806bc55"
    assert OURS in lines
    assert {path.name for path in own_cache.root.iterdir()} == {TAG, "fit"}


def test_a_draft_of_the_tag_that_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / f".{TAG}.draft-{'a' * 32}").touch()
    Cache(tmp_path).build("fit", PARTS, write)
    assert {path.name for path in tmp_path.iterdir()} == {TAG, "fit"}


@pytest.mark.parametrize("marked", [True, False])
def test_another_process_may_take_our_draft_of_the_tag_away(tmp_path, monkeypatch, marked: bool) -> None:
    """It has marked the cache meanwhile; where it has not, something is wrong."""

    def taken_away(draft: Path, tag: Path) -> None:
        text = Path(draft).read_text()
        Path(draft).unlink()
        if marked:
            tag.write_text(text)
        raise FileNotFoundError(2, "No such file or directory", str(draft))

    monkeypatch.setattr(cache_folder.os, "replace", taken_away)
    with nullcontext() if marked else pytest.raises(FileNotFoundError):
        cache_folder.mark(tmp_path)
    assert cache_folder.is_marked(tmp_path) == marked


def test_checkpoints_of_an_artifact_that_is_whole_go_when_it_is_used(tmp_path: Path) -> None:
    """Its maker was killed when it was whole, and they still lay there, or half of them."""
    cache = Cache(tmp_path)
    cache.build("fit", PARTS, write)
    left = cache.unfinished("fit", PARTS)
    left.mkdir()
    (left / "best.ckpt").touch()
    Cache(tmp_path).build("fit", PARTS, write)
    assert not left.exists()


def test_a_cache_that_an_earlier_version_left_is_adopted(tmp_path: Path) -> None:
    root = tmp_path / "cache"
    folder = earlier(root)
    assert Cache(root).build("fit", PARTS, write) == folder
    assert cache_folder.is_marked(root)


@pytest.mark.parametrize(
    "name", ["notes.txt", ".git/HEAD", "fit/notes", "fit/0123/rows", f"fit/.{HEX}.other/a", "fits/x"]
)
def test_a_folder_that_holds_anything_else_is_no_cache(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "home"
    earlier(root)
    (root / name).parent.mkdir(exist_ok=True, parents=True)
    (root / name).write_text("mine")
    grow_old(root)
    before = listed(root)
    with pytest.raises(UserError) as caught:
        Cache(root).build("fit", {"b": 2}, write)
    assert name.rsplit("/", 1)[0] in caught.value.got
    for line in (["cache"], ["cache", "gc", "--days", "0"], ["cache", "gc", "--dry-run"]):
        assert command([*line, "--root", str(root)]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert listed(root) == before


def test_the_cures_for_a_folder_that_is_no_cache_work(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError) as caught:
        Cache(tmp_path).build("fit", PARTS, write)
    [other] = re.findall(r"paths\.cache=(.+?);", caught.value.cure)
    assert Cache(Path(other)).build("fit", PARTS, write).is_dir()
    shutil.rmtree(other)
    assert "move mine.txt elsewhere" in caught.value.cure
    (tmp_path / "mine.txt").unlink()
    assert Cache(tmp_path).build("fit", PARTS, write).is_dir()


def test_a_link_to_a_folder_of_a_known_name_is_foreign(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    earlier(elsewhere)
    root.mkdir()
    (root / "fit").symlink_to(elsewhere / "fit")
    assert cache_folder.foreign(root) == "fit"


def test_the_tag_of_another_program_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / TAG).write_text(f"{SIGNATURE}\n# by cargo\n")
    assert cache_folder.foreign(tmp_path) == TAG
    (tmp_path / TAG).write_text("")  # a machine that crashed has emptied it
    assert Cache(tmp_path).build("fit", PARTS, write).is_dir()
    assert cache_folder.is_marked(tmp_path)


def test_what_another_process_marked_and_built_meanwhile_is_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quicker(root: Path) -> str:
        root.joinpath(TAG).write_text(f"{SIGNATURE}\n{OURS}\n")
        return "built"

    monkeypatch.setattr(cache_folder, "foreign", quicker)
    cache_folder.refuse_foreign(tmp_path)
    assert cache_folder.is_marked(tmp_path)


def test_a_full_disk_leaves_no_half_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(UserError, match="No space left"):
        Cache(tmp_path).build("fit", PARTS, write)
    assert listed(tmp_path) == set()


def test_every_kind_that_the_code_builds_is_known() -> None:
    built = set()
    for file in Path(kd_lab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "build"
            if named and ast.unparse(node.func.value).endswith("cache") and len(node.args) == 3:
                assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
                built.add(node.args[0].value)
    assert built == KINDS


# freeing


def test_only_what_is_the_caches_own_is_freed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    folder = Cache(root).build("fit", PARTS, write)
    other = Cache(elsewhere).build("tokens", PARTS, write)
    own = [folder, *(root / "fit" / f".{HEX}.{ending}" for ending in ("unfinished", "draft-x", "damaged-2"))]
    for path in own[1:]:
        path.mkdir()
        (path / "rows").write_text("rows")
    foreign = [
        root / ".git" / MANIFEST,
        root / "fit" / ".git" / "HEAD",
        root / "fit" / "model" / MANIFEST,
        root / "fit" / f".{HEX}.backup" / "rows",
        root / "mine" / HEX / MANIFEST,
        root / "timing" / f".{HEX}.lock" / "rows",
    ]
    for path in foreign:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    (root / "tokens").symlink_to(elsewhere / "tokens")
    (root / "fit" / HEX).symlink_to(other)
    (root / "fit" / f".{HEX}.draft-link").symlink_to(other)
    (folder / "link").symlink_to(other)
    for path in (root, elsewhere):
        grow_old(path)
    assert command(["cache", "gc", "--root", str(root)]) == 0
    said = capsys.readouterr().out
    for path in own:
        assert not path.exists()
        assert f"freed {path.relative_to(root)}, " in said
    for path in foreign:
        assert path.read_text() == "mine"
    assert (other / "rows").read_text() == "rows"
    assert (root / "fit" / HEX).is_symlink()
    assert "last used 40.0 days ago" in said
    assert not lock_of(folder).exists()


def test_a_dry_run_says_what_would_go_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = earlier(tmp_path)
    grow_old(tmp_path)
    before = listed(tmp_path)
    assert command(["cache", "gc", "--dry-run", "--root", str(tmp_path)]) == 0
    assert f"would free {folder.relative_to(tmp_path)}, " in capsys.readouterr().out
    assert listed(tmp_path) == before


def test_a_cache_that_is_not_there_is_not_made_by_looking_at_it(tmp_path: Path) -> None:
    assert command(["cache", "gc", "--root", str(tmp_path / "none")]) == 0
    assert command(["cache", "ls", "--root", str(tmp_path / "none")]) == 0
    assert listed(tmp_path) == set()


@pytest.mark.parametrize("days", ["-1", "nan", "inf", "-inf"])
def test_days_that_are_no_number_of_days_are_refused(
    own_cache: Cache, days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = own_cache.build("fit", PARTS, write)
    assert command(["cache", "gc", f"--days={days}"]) == 2
    assert "--days" in capsys.readouterr().err
    assert folder.is_dir()


def test_age_is_that_of_the_last_use(folder: Path, tmp_path: Path) -> None:
    grow_old(tmp_path)
    Cache(tmp_path).build("fit", PARTS, write)
    assert not list(cache_gc.collect(tmp_path, 30 * DAY_S))
    grow_old(tmp_path)
    assert [old.path for old in cache_gc.collect(tmp_path, 30 * DAY_S)] == [folder]


def test_what_a_clock_that_was_set_back_has_used_in_the_future_counts_as_used_now(folder: Path, tmp_path: Path) -> None:
    left = tmp_path / "fit" / f".{HEX}.unfinished"
    left.mkdir()
    for path in (folder, left):
        grow_old(path, days=-4000)
    assert not list(cache_gc.collect(tmp_path, 0, dry_run=True))
    assert (folder / MANIFEST).stat().st_mtime > time.time() + DAY_S
    assert not list(cache_gc.collect(tmp_path, 0))
    assert folder.is_dir()
    assert {old.path for old in cache_gc.collect(tmp_path, 0)} == {folder, left}  # it grows old from now on


def test_what_is_in_use_is_never_freed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    user = Cache(tmp_path)
    folder = user.build("fit", PARTS, write)
    assert command(["cache", "gc", "--days", "0", "--root", str(tmp_path)]) == 0
    assert "in use" in capsys.readouterr().err
    assert (folder / "rows").is_file()
    del user
    assert command(["cache", "gc", "--days", "0", "--root", str(tmp_path)]) == 0
    assert not folder.exists()


def test_what_another_process_uses_is_never_freed_and_is_once_it_was_killed(folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from kd_lab.core.cache import Cache
used = Cache(Path({str(tmp_path)!r}))
used.find("fit", {folder.name!r})
print("used", flush=True)
sys.stdin.read()
"""
    user = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert user.stdout
    assert user.stdout.readline() == "used\n"
    assert [old.kept for old in cache_gc.collect(tmp_path, 0)] == ["in use"]
    user.kill()
    user.communicate()
    assert [old.kept for old in cache_gc.collect(tmp_path, 0)] == [""]
    assert not folder.exists()


def test_what_is_being_made_is_never_freed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    seen = []

    def make(draft: Path) -> None:
        scratch = cache.unfinished("fit", PARTS)
        scratch.mkdir()
        (scratch / "last.ckpt").write_text("epoch 3")
        seen.extend((old.path, old.kept) for old in cache_gc.collect(tmp_path, 0))
        assert (scratch / "last.ckpt").is_file()
        assert draft.is_dir()
        write(draft)

    cache.build("fit", PARTS, make)
    assert len(seen) == 2
    assert {kept for _, kept in seen} == {"in use"}


def test_a_lock_that_is_held_is_not_deleted_and_is_when_nothing_needs_it(tmp_path: Path) -> None:
    Cache(tmp_path).build("fit", PARTS, write)
    lock = tmp_path / "fit" / f".{HEX}.lock"
    with cache_lock.exclusive_lock(lock):
        list(cache_gc.collect(tmp_path, 0))
        assert lock.is_file()
    list(cache_gc.collect(tmp_path, 0))
    assert not lock.exists()


def test_a_kill_while_freeing_leaves_nothing_half_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Cache(tmp_path).build("fit", PARTS, write)

    def killed(path: Path) -> None:
        (path / "rows").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache_folder.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            list(cache_gc.collect(tmp_path, 0))
    assert not folder.exists()
    cache = Cache(tmp_path)
    assert not cache.entries()
    assert len(cache.leftovers()) == 1
    assert len(list(cache_gc.collect(tmp_path, 0))) == 1
    assert {path.name for path in tmp_path.iterdir()} == {TAG, "fit"}


def test_what_another_process_freed_first_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Cache(tmp_path).build("fit", PARTS, write)

    def quicker(path: Path) -> None:
        shutil.rmtree(folder)
        raise FileNotFoundError(errno.ENOENT, "gone", str(path))

    monkeypatch.setattr(cache_gc, "discard", quicker)
    assert not list(cache_gc.collect(tmp_path, 0))


def test_files_that_vanish_while_they_are_counted_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Cache(tmp_path).build("fit", PARTS, write)
    whole = cache_folder.size(folder)
    there = [folder, folder / "gone", folder / "rows", folder / MANIFEST]
    monkeypatch.setattr(cache_folder, "inside", lambda path: there)
    assert cache_folder.size(folder) == whole == sum(path.stat().st_size for path in folder.iterdir())


def test_what_cannot_be_freed_is_told_and_the_rest_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck, gone = (Cache(tmp_path).build(kind, PARTS, write) for kind in ("fit", "tokens"))
    discard = cache_gc.discard

    def stubborn(path: Path) -> None:
        if path == stuck:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        discard(path)

    monkeypatch.setattr(cache_gc, "discard", stubborn)
    assert command(["cache", "gc", "--days", "0", "--root", str(tmp_path)]) == 1
    assert "busy" in capsys.readouterr().err
    assert stuck.is_dir()
    assert not gone.exists()


def test_the_list_names_what_was_damaged(own_cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    folder = own_cache.build("fit", PARTS, write)
    (folder / "rows").unlink()
    cache_module._checked.clear()
    own_cache.build("fit", PARTS, write)
    own_cache.unfinished("tokens", PARTS).mkdir(parents=True)
    assert command(["cache"]) == 0
    out = capsys.readouterr().out
    assert "damaged" in out
    assert "cut off" in out


# locks


def test_a_lock_whose_file_was_deleted_meanwhile_is_taken_on_the_file_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, calls = tmp_path / "lock", fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        if not calls:
            path.unlink()
        calls.append(how)
        real(descriptor, how)

    monkeypatch.setattr(cache_lock.fcntl, "flock", flock)
    with cache_lock.exclusive_lock(path) as mine:
        assert mine
        assert path.is_file()
        with cache_lock.exclusive_lock(path, wait=False) as theirs:
            assert not theirs
    assert len(calls) == 3


def test_an_artifact_that_was_freed_while_it_was_being_opened_is_made_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, freed = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        if how == fcntl.LOCK_SH and not freed:
            freed.append(folder)
            shutil.rmtree(folder)
        real(descriptor, how)

    monkeypatch.setattr(cache_lock.fcntl, "flock", flock)
    assert Cache(tmp_path).build("fit", PARTS, write) == folder
    assert freed
    assert (folder / "rows").is_file()


def test_a_file_system_without_locks_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Cache(tmp_path).build("fit", PARTS, write)
    monkeypatch.setattr(cache_lock.fcntl, "flock", Mock(side_effect=OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))))
    assert Cache(tmp_path).build("fit", PARTS, write) == folder  # reading needs none
    with pytest.raises(UserError, match=r"can be locked.*paths\.cache="):
        Cache(tmp_path).build("fit", {"b": 2}, write)
    [old] = cache_gc.collect(tmp_path, 0)
    assert "can be locked" in old.kept
    assert folder.is_dir()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "lock").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic"), cache_lock.exclusive_lock(tmp_path / "lock"):
        pass


# other users


@pytest.fixture
def root() -> Iterator[Path]:
    """Of a cache yet to come, in a folder where every user may write, outside what pytest closes to others."""
    folder = Path(tempfile.mkdtemp(prefix="kd_lab_shared_", dir="/tmp"))
    folder.chmod(0o777)
    yield folder / "cache"
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o777)
    shutil.rmtree(folder)


@contextmanager
def another_user() -> Iterator[None]:
    """Where the tests run as root, a user without its rights; else oneself, whom closed folders keep out as well."""
    say("what is imported lazily, is now")
    oneself = os.geteuid()
    os.seteuid(oneself or NOBODY)
    try:
        yield
    finally:
        os.seteuid(oneself)


def change_modes(root: Path, change: Callable[[int], int]) -> None:
    """Of all that is there; who looks at it next is another process."""
    for path in sorted([root, *root.rglob("*")], reverse=True):
        path.chmod(change(path.stat().st_mode & 0o777))
    cache_module._checked.clear()


def test_a_cache_that_may_only_be_read_gives_what_it_has_and_one_line_for_what_it_has_not(root: Path) -> None:
    folder = Cache(root).build("fit", PARTS, write)
    lock_of(folder).unlink()
    change_modes(root, lambda mode: mode & 0o555)
    with another_user():
        assert Cache(root).build("fit", PARTS, write) == folder
        with pytest.raises(UserError, match=r"Permission denied.*paths\.cache="):
            Cache(root).build("fit", {"b": 2}, write)
        with pytest.raises(UserError, match=r"Permission denied.*paths\.cache="):
            Cache(root).build("tokens", PARTS, write)


def test_a_cache_without_a_mark_that_may_only_be_read_is_read(root: Path) -> None:
    folder = Cache(root).build("fit", PARTS, write)
    (root / TAG).unlink()
    change_modes(root, lambda mode: mode & 0o555)
    with another_user():
        for _ in range(2):
            assert Cache(root).build("fit", PARTS, write) == folder
    assert not (root / TAG).exists()


def test_an_empty_folder_that_may_only_be_read_is_one_clear_line(root: Path) -> None:
    root.mkdir(mode=0o555)
    with another_user(), pytest.raises(UserError, match=r"Permission denied.*paths\.cache="):
        Cache(root).build("fit", PARTS, write)


def test_damage_in_a_cache_that_may_only_be_read_is_named_with_its_cure(root: Path) -> None:
    folder = Cache(root).build("fit", PARTS, write)
    (folder / "rows").write_text("rowz")
    change_modes(root, lambda mode: mode & 0o555)
    with another_user(), pytest.raises(UserError) as caught:
        Cache(root).build("fit", PARTS, write)
    assert caught.value.where == str(folder / "rows")
    assert "cannot be set aside (Permission denied)" in caught.value.got
    assert "paths.cache=" in caught.value.cure


@pytest.mark.parametrize("name", ["rows", MANIFEST])
def test_a_file_that_this_user_may_not_read_is_no_damage(root: Path, name: str) -> None:
    folder = Cache(root).build("fit", PARTS, write)
    change_modes(root, lambda mode: mode | 0o777)
    (folder / name).chmod(0)
    with another_user(), pytest.raises(UserError) as caught:
        Cache(root).build("fit", PARTS, write)
    assert caught.value.where == str(folder / name)
    assert caught.value.expected == "a file that you may read"
    assert folder.is_dir()


def test_users_of_one_cache_wait_for_each_others_locks_and_mend_each_others_damage(root: Path) -> None:
    folder = Cache(root).build("fit", PARTS, write)
    (folder / "rows").write_text("rowz")
    change_modes(root, lambda mode: mode | 0o777)
    lock_of(folder).chmod(0o444)  # as the umask 022 of the other user made it
    with another_user():
        with cache_lock.exclusive_lock(lock_of(folder)), cache_lock.exclusive_lock(lock_of(folder), wait=False) as free:
            assert not free
        assert Cache(root).build("fit", PARTS, write) == folder
    assert (folder / "rows").read_text() == "rows"


@pytest.mark.parametrize(("umask", "rights"), [(0o002, 0o775), (0o022, 0o755), (0o077, 0o700)])
def test_an_artifact_has_the_rights_that_the_users_umask_gives(own_cache: Cache, umask: int, rights: int) -> None:
    before = os.umask(umask)
    try:
        folder = own_cache.build("fit", PARTS, write)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == rights
    assert (folder / "rows").stat().st_mode & 0o777 == rights & 0o666
    assert lock_of(folder).stat().st_mode & 0o777 == rights & 0o666


def test_the_group_of_a_shared_folder_is_handed_on(own_cache: Cache) -> None:
    own_cache.root.mkdir()
    own_cache.root.chmod(0o2775)
    folder = own_cache.build("fit", PARTS, write)
    assert folder.stat().st_mode & 0o2000
