"""An artifact is named by what it is made from, built once, never half there, and made anew when damaged."""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from kd_lab.core import cache as cache_module
from kd_lab.core import cache_entry, cache_lock
from kd_lab.core.cache import Cache, describe, file_hash, fingerprint, forget_inputs, inputs
from kd_lab.core.cache_check import Damage
from kd_lab.core.cache_folder import MANIFEST, lock_of
from kd_lab.core.errors import UserError

PARTS = {"tokens": "abc", "sizes": [1, 2.5, None], "nested": {"on": True, "names": {"b", "a", "c"}}}


@dataclass(frozen=True)
class Shape:
    width: int
    name: str = "square"


@dataclass(frozen=True)
class File:
    path: str

    def fingerprint_parts(self) -> dict[str, Any]:
        return {"content": "the same"}


def write(draft: Path) -> None:
    (draft / "deep").mkdir()
    (draft / "deep" / "rows.bin").write_bytes(b"0123456789")
    (draft / "about.json").write_text("{}")


def forget() -> None:
    """What a new process has not checked yet."""
    cache_module._checked.clear()


def spoil(folder: Path) -> None:
    """Puts other bytes into a file of an artifact, at which nobody has looked yet."""
    (folder / "about.json").write_text("[]")
    forget()


@pytest.fixture
def folder(own_cache: Cache) -> Path:
    """An artifact that is whole."""
    return own_cache.build("fit", PARTS, write)


@pytest.fixture
def damaged(folder: Path) -> Path:
    """An artifact that is not."""
    spoil(folder)
    return folder


# names


def test_fingerprint_is_the_sha256_of_sorted_json() -> None:
    assert fingerprint({"b": [1, None], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,null]}'.encode()).hexdigest()[:16]


def test_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint(PARTS) == fingerprint(dict(reversed(PARTS.items())))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_fingerprint_is_the_same_in_another_process(hash_seed: str) -> None:
    code = f"from kd_lab.core.cache import fingerprint; print(fingerprint({PARTS!r}))"
    surroundings = {**os.environ, "PYTHONHASHSEED": hash_seed}
    said = subprocess.check_output([sys.executable, "-c", code], env=surroundings, text=True)
    assert said.strip() == fingerprint(PARTS)


@pytest.mark.parametrize(
    "changed",
    [
        {"tokens": "abd"},
        {"tokens": None},
        {"sizes": [2, 2.5, None]},
        {"sizes": [1, "2.5", None]},
        {"sizes": [1, 2.5, 0]},
        {"nested": {"on": 1, "names": {"a", "b", "c"}}},
        {"nested": {"on": True, "names": {"a", "b"}}},
        {"new": None},
    ],
)
def test_fingerprint_differs_when_any_part_differs(changed: dict[str, Any]) -> None:
    assert fingerprint(PARTS | changed) != fingerprint(PARTS)


def test_an_object_is_its_class_and_its_constructors_arguments() -> None:
    said = describe({"shape": Shape(3)})
    assert said == {"shape": {"class": f"{__name__}.Shape", "width": 3, "name": "square"}}
    assert fingerprint(Shape(3)) != fingerprint(Shape(4))


def test_an_object_with_parts_is_what_they_say() -> None:
    assert fingerprint(File("/here/a.csv")) == fingerprint(File("/there/b.csv"))
    assert describe(File("/here")) == {"class": f"{__name__}.File", "content": "the same"}


def test_an_object_that_keeps_no_option_of_that_name_is_refused_with_the_cure() -> None:
    class Forgetful:
        def __init__(self, width: int) -> None:
            self.size = width

    with pytest.raises(UserError, match=r"got one without width.* self.width = width; or say in a method") as caught:
        fingerprint(Forgetful(3))
    assert caught.value.where == f"{__name__}.{Forgetful.__qualname__}"


# building


def test_an_artifact_is_made_once_and_found_again(own_cache: Cache) -> None:
    make = Mock(side_effect=write)
    assert not own_cache.has("fit", PARTS)
    first = own_cache.build("fit", PARTS, make)
    assert own_cache.has("fit", PARTS)
    assert own_cache.build("fit", dict(reversed(PARTS.items())), make) == first == own_cache.folder("fit", PARTS)
    make.assert_called_once()
    assert (first / "deep" / "rows.bin").read_bytes() == b"0123456789"
    manifest = json.loads((first / MANIFEST).read_text())
    assert manifest["files"]["deep/rows.bin"] == [10, hashlib.sha256(b"0123456789").hexdigest()]
    assert manifest["parts"] == describe(PARTS)
    assert [(kind, folder) for kind, folder, _ in own_cache.entries()] == [("fit", first)]


def made_at_once(caches: list[Cache]) -> tuple[int, list[Path]]:
    """How often threads that ask for an artifact at once have it made, and what each is given by its cache."""
    calls: list[Path] = []
    together = threading.Barrier(len(caches))

    def make(draft: Path) -> None:
        calls.append(draft)
        time.sleep(0.1)
        write(draft)

    def ask(cache: Cache) -> Path:
        together.wait()
        return cache.build("fit", PARTS, make)

    with ThreadPoolExecutor(len(caches)) as threads:
        found = list(threads.map(ask, caches))
    return len(calls), found


def test_threads_that_race_make_it_once(own_cache: Cache) -> None:
    assert made_at_once([own_cache] * 4) == (1, [own_cache.folder("fit", PARTS)] * 4)


def test_processes_that_race_make_it_once(own_cache: Cache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"""
import time
from pathlib import Path
from kd_lab.core.cache import Cache
def make(draft):
    with open({str(log)!r}, "a") as file:
        file.write("made\\n")
    time.sleep(0.4)
    (draft / "rows").write_text("rows")
while not Path({str(tmp_path / "go")!r}).exists():
    time.sleep(0.005)
print(Cache(Path({str(own_cache.root)!r})).build("fit", {{"a": 1}}, make))
"""
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    (tmp_path / "go").touch()
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert said == [str(own_cache.folder("fit", {"a": 1}))] * 2
    assert log.read_text() == "made\n"


def test_a_crash_leaves_nothing(own_cache: Cache) -> None:
    def crash(draft: Path) -> None:
        write(draft)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        own_cache.build("fit", PARTS, crash)
    assert not own_cache.has("fit", PARTS)
    assert not own_cache.entries()
    assert [path.name for path in (own_cache.root / "fit").iterdir() if path.is_dir()] == []
    assert (own_cache.build("fit", PARTS, write) / "about.json").is_file()


def test_what_a_killed_process_left_is_not_taken_for_an_artifact(own_cache: Cache) -> None:
    folder = own_cache.folder("fit", PARTS)
    folder.mkdir(parents=True)
    (folder / "about.json").write_text("half a deletion")
    draft = folder.with_name(f".{folder.name}.draft-killed")
    draft.mkdir()
    (draft / MANIFEST).write_text("{}")
    assert not own_cache.has("fit", PARTS)
    assert not own_cache.entries()
    assert (own_cache.build("fit", PARTS, write) / "about.json").read_text() == "{}"


def test_drafts_of_killed_processes_are_cleared_and_those_that_are_being_made_stay(own_cache: Cache) -> None:
    dead, alive = (own_cache.root / "timing" / f".{number * 16}.draft-abc" for number in "12")
    for draft in (dead, alive):
        draft.mkdir(parents=True)
    checkpoints = own_cache.root / "timing" / f".{'1' * 16}.unfinished"
    checkpoints.mkdir()
    cache_module._cleared.discard(own_cache.root)
    with cache_lock.exclusive_lock(lock_of(alive)):
        own_cache.build("fit", PARTS, write)
    assert (dead.exists(), alive.exists(), checkpoints.exists()) == (False, True, True)
    own_cache.build("fit", {**PARTS, "more": 1}, write)
    assert alive.exists()  # a process looks once


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(own_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(UserError, match=r"No space left on device.*paths\.cache="):
        own_cache.build("fit", PARTS, full)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left on device") as caught:
        own_cache.build("fit", PARTS, write)
    assert str(own_cache.root) in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert not own_cache.has("fit", PARTS)
    assert [path for path in (own_cache.root / "fit").iterdir() if path.is_dir()] == []


# reading

DAMAGE = {
    "other bytes": lambda file: file.write_bytes(b"012345678X"),
    "5 bytes": lambda file: file.write_bytes(b"01234"),
    "0 bytes": lambda file: file.write_bytes(b""),
    "no file": lambda file: file.unlink(),
}


@pytest.mark.parametrize("got", DAMAGE)
def test_a_damaged_file_is_set_aside_and_made_anew_with_a_warning(own_cache: Cache, got: str, capsys: Any) -> None:
    folder = own_cache.build("fit", PARTS, write)
    DAMAGE[got](folder / "deep" / "rows.bin")
    forget()
    assert own_cache.build("fit", PARTS, write) == folder
    assert (folder / "deep" / "rows.bin").read_bytes() == b"0123456789"
    aside = folder.with_name(f".{folder.name}.damaged-1")
    assert (aside / MANIFEST).is_file()
    [text] = own_cache.warnings
    assert text.startswith(f"{folder / 'deep' / 'rows.bin'}: expected the 10 bytes that were written, got {got}; ")
    assert text.endswith(aside.name)
    assert text in " ".join(capsys.readouterr().err.split())


def test_a_folder_in_place_of_a_file_is_damage(own_cache: Cache, folder: Path) -> None:
    file = folder / "deep" / "rows.bin"
    file.unlink()
    file.mkdir()
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["deep/rows.bin"][0] = file.stat().st_size
    (folder / MANIFEST).write_text(json.dumps(manifest))
    forget()
    own_cache.build("fit", PARTS, write)
    assert file.read_bytes() == b"0123456789"
    assert "Is a directory" in own_cache.warnings[0]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", "", "null", '{"parts": 1, "files": {}}', '{"parts": PARTS, "files": []}', "\x00\xff", None],
)
def test_a_damaged_manifest_is_set_aside_and_the_artifact_made_anew(own_cache: Cache, text: str | None) -> None:
    folder = own_cache.build("fit", PARTS, write)
    if text is None:
        (folder / MANIFEST).unlink()
    else:
        text = text.replace("PARTS", json.dumps(describe(PARTS)))
        (folder / MANIFEST).write_bytes(text.encode("latin-1"))
    forget()
    own_cache.build("fit", PARTS, write)
    assert json.loads((folder / MANIFEST).read_text())["parts"] == describe(PARTS)
    [warned] = own_cache.warnings
    assert warned.startswith(f"{folder / MANIFEST}: expected a whole ")
    assert folder.with_name(f".{folder.name}.damaged-1").is_dir()


def test_each_bit_of_a_manifest_that_says_something_else_when_flipped_is_found(folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    found = 0
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        try:
            alike = json.loads(flipped) == json.loads(whole)
        except ValueError:
            alike = False
        (folder / MANIFEST).write_bytes(flipped)
        assert (cache_module.damage(folder, fingerprint) is None) == alike, place
        found += not alike
    assert found > 20


def test_damage_is_numbered_when_it_comes_again(own_cache: Cache, folder: Path) -> None:
    for _ in range(2):
        spoil(folder)
        own_cache.build("fit", PARTS, write)
    assert len(list(folder.parent.glob(".*.damaged-[12]"))) == 2


def test_the_check_is_made_once_a_process(own_cache: Cache, folder: Path) -> None:
    (folder / "about.json").write_text("[]")
    own_cache.build("fit", PARTS, write)
    assert not own_cache.warnings


def test_damage_that_another_process_has_mended_meanwhile_is_not_mended_again(
    own_cache: Cache, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mended(path: Path) -> Any:
        (damaged / "about.json").write_text("{}")
        return cache_lock.exclusive_lock(path)

    monkeypatch.setattr(cache_module, "exclusive_lock", mended)
    assert own_cache.build("fit", PARTS, write) == damaged
    assert not own_cache.warnings


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_a_machine_at_its_limits_is_not_damage(own_cache: Cache, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    folder = own_cache.build("fit", PARTS, write)
    forget()
    fail = Mock(side_effect=OSError(number, os.strerror(number)))
    monkeypatch.setattr("kd_lab.core.cache_check.digest", fail)
    with pytest.raises((OSError, UserError), match=os.strerror(number)):
        own_cache.build("fit", PARTS, write)
    assert folder.is_dir()
    assert not own_cache.warnings


def test_whether_a_kind_may_be_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a cache that is not there yet the folder above decides."""
    asked: list[Path] = []
    monkeypatch.setattr(os, "access", lambda path, how: asked.append(Path(path)) or not len(asked) % 2)
    (tmp_path / "there" / "timing").mkdir(parents=True)
    assert not Cache(tmp_path / "there").may_write("timing")
    assert Cache(tmp_path / "there").may_write("fit")
    assert not Cache(tmp_path / "none").may_write("fit")
    assert asked == [tmp_path / "there" / "timing", tmp_path / "there", tmp_path]


def test_a_damaged_artifact_stands_in_its_place_until_the_new_one_is_whole(own_cache: Cache, damaged: Path) -> None:
    """Other processes have found it whole before, and open its files when they need them; who reads one reads on."""

    def make(draft: Path) -> None:
        assert (damaged / "deep" / "rows.bin").read_bytes() == b"0123456789"
        write(draft)

    with (damaged / "deep" / "rows.bin").open("rb") as reader:
        own_cache.build("fit", PARTS, make)
        assert reader.read() == b"0123456789"
    assert (damaged / "about.json").read_text() == "{}"


def test_what_cannot_be_made_anew_stays_as_it_is(own_cache: Cache, damaged: Path) -> None:
    fail = Mock(side_effect=UserError("data", expected="a file", got="none", cure="Give one."))
    with pytest.raises(UserError, match="Give one"):
        own_cache.build("fit", PARTS, fail)
    assert (damaged / "deep" / "rows.bin").is_file()
    own_cache.build("fit", PARTS, write)
    assert (damaged / "about.json").read_text() == "{}"


def test_threads_that_find_the_same_damage_make_it_anew_once(own_cache: Cache, damaged: Path) -> None:
    assert made_at_once([Cache(own_cache.root) for _ in range(4)]) == (1, [damaged] * 4)
    assert len(list(damaged.parent.glob(".*.damaged-*"))) == 1


def test_an_artifact_is_found_by_its_name_only_where_it_is_whole(own_cache: Cache, folder: Path) -> None:
    assert own_cache.find("fit", folder.name) == folder
    assert own_cache.find("fit", "0" * 16) is None
    spoil(folder)
    assert own_cache.find("fit", folder.name) is None


def test_what_proved_wrong_in_use_is_set_aside_once(own_cache: Cache, folder: Path) -> None:
    flaw = Damage(Path("rows"), "these", "others")
    mine, theirs = own_cache, Cache(own_cache.root)
    theirs.build("fit", PARTS, write)
    mine.set_aside("fit", PARTS, flaw)
    assert not folder.exists()
    mine.build("fit", PARTS, write)
    theirs.set_aside("fit", PARTS, flaw)  # which has judged the one before
    assert folder.is_dir()
    assert len(list(folder.parent.glob(".*.damaged-*"))) == 1
    Cache(own_cache.root).set_aside("fit", PARTS, flaw)  # which has judged none
    assert folder.is_dir()


def test_more_artifacts_than_files_may_be_open_can_be_used(own_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_MOST_HELD", 3)
    for number in range(9):
        own_cache.build("fit", {"number": number}, write)
        own_cache.build("fit", {"number": 0}, write)
    assert len(own_cache._held) == 3
    assert own_cache.folder("fit", {"number": 0}) in own_cache._held


def test_a_cache_travels_to_another_process_without_its_locks(own_cache: Cache) -> None:
    own_cache.build("fit", PARTS, write)
    copied = copy.deepcopy(own_cache)
    assert copied == own_cache
    assert not copied._held


def test_an_error_while_checking_leaves_nothing_in_use(own_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_cache.build("fit", PARTS, write)
    monkeypatch.setattr(cache_module, "_flaw", Mock(side_effect=KeyboardInterrupt))
    other = Cache(own_cache.root)
    with pytest.raises(KeyboardInterrupt):
        other.find("fit", folder.name)
    assert not other._held


def test_a_kill_before_the_renaming_leaves_nothing_half_read(
    own_cache: Cache, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cache_entry.os, "replace", Mock(side_effect=KeyboardInterrupt))
        patch.setattr(cache_entry.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            own_cache.build("fit", PARTS, write)
    assert not own_cache.has("fit", PARTS)
    assert not own_cache.entries()
    assert (own_cache.build("fit", PARTS, write) / "about.json").read_text() == "{}"
    assert len(list(damaged.parent.glob(".*.draft-*"))) == 0


# input files


def test_file_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert file_hash(tmp_path / "file") == known


def test_only_files_outside_the_cache_are_inputs(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    forget_inputs()
    file_hash(tmp_path / "file")
    file_hash(folder / "about.json")
    assert list(inputs()) == [str((tmp_path / "file").resolve())]


def test_a_file_that_changed_is_hashed_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    before = file_hash(tmp_path / "file")
    assert file_hash(tmp_path / "file") == before
    (tmp_path / "file").write_bytes(b"abcd")
    assert file_hash(tmp_path / "file") != before


def test_an_input_that_nobody_may_read_is_one_line_with_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "digest", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
    (tmp_path / "it's.csv").write_text("text,label\n")
    with pytest.raises(UserError, match=r"expected a file that you may read.* chmod u\+r '.*it'\"'\"'s.csv'"):
        file_hash(tmp_path / "it's.csv")
