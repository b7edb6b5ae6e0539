"""An artifact is named by what it is made from, built once, never half there, and refused when damaged."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kd_lab import cache as cache_module
from kd_lab.cache import MANIFEST, Cache, check, describe, file_hash, fingerprint, source_hash
from kd_lab.errors import UserError

PARTS = {"tokens": "abc", "sizes": [1, 2.5, None], "nested": {"on": True, "names": {"b", "a", "c"}}}


@dataclass(frozen=True)
class Shape:
    width: int
    name: str = "square"


@dataclass(frozen=True)
class File:
    path: str

    def parts(self) -> dict[str, Any]:
        return {"content": "the same"}


def write(draft: Path) -> None:
    (draft / "deep").mkdir()
    (draft / "deep" / "rows.bin").write_bytes(b"0123456789")
    (draft / "about.json").write_text("{}")


def forget() -> None:
    """What a new process has not checked yet."""
    cache_module._checked.clear()


# names


def test_fingerprint_is_the_sha256_of_sorted_json() -> None:
    assert fingerprint({"b": [1, None], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,null]}'.encode()).hexdigest()[:16]


def test_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint(PARTS) == fingerprint(dict(reversed(PARTS.items())))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_fingerprint_is_the_same_in_another_process(hash_seed: str) -> None:
    code = f"from kd_lab.cache import fingerprint; print(fingerprint({PARTS!r}))"
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == fingerprint(PARTS)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tokens",), "abd"),
        (("tokens",), None),
        (("sizes", 0), 2),
        (("sizes", 1), "2.5"),
        (("sizes", 2), 0),
        (("nested", "on"), 1),
        (("nested", "names"), {"a", "b"}),
        (("new",), None),
    ],
)
def test_fingerprint_differs_when_any_part_differs(path: tuple[Any, ...], value: object) -> None:
    changed = copy.deepcopy(PARTS)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert fingerprint(changed) != fingerprint(PARTS)


def test_an_object_is_its_class_and_its_constructors_arguments() -> None:
    said = describe({"shape": Shape(3)})
    assert said == {"shape": {"class": f"{__name__}.Shape", "width": 3, "name": "square"}}
    assert fingerprint(Shape(3)) != fingerprint(Shape(4))


def test_an_object_with_parts_is_what_they_say() -> None:
    assert fingerprint(File("/here/a.csv")) == fingerprint(File("/there/b.csv"))
    assert describe(File("/here")) == {"class": f"{__name__}.File", "content": "the same"}


def test_source_hash_sees_code_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "__file__", str(tmp_path / "cache.py"))
    file, folder = tmp_path / "idea.py", tmp_path / "folder"
    folder.mkdir()
    (folder / "inner.py").write_text("A = 1\n")
    plain = 'def f(x):\n    """Doc."""\n    return x + 1\n'

    def now(code: str) -> str:
        source_hash.cache_clear()
        file.write_text(code)
        return source_hash("idea", "folder")

    try:
        first = now(plain)
        assert now('"""Module."""\n# a comment\ndef f( x ):\n    """Other words."""\n\n    return (x + 1)\n') == first
        assert now("def f(x):\n    return x + 1\n") == first
        assert now(plain.replace("x + 1", "x + 2")) != first
        assert now(plain.replace("return", "'a value, not a docstring'\n    return")) != first
        (folder / "inner.py").write_text("A = 2\n")
        assert now(plain) != first
    finally:
        source_hash.cache_clear()


# building


def test_an_artifact_is_made_once_and_found_again(own_cache: Cache) -> None:
    calls: list[Path] = []

    def make(draft: Path) -> None:
        calls.append(draft)
        write(draft)

    assert not own_cache.has("fit", PARTS)
    first = own_cache.build("fit", PARTS, make)
    assert own_cache.has("fit", PARTS)
    assert own_cache.build("fit", dict(reversed(PARTS.items())), make) == first == own_cache.folder("fit", PARTS)
    assert len(calls) == 1
    assert (first / "deep" / "rows.bin").read_bytes() == b"0123456789"
    manifest = json.loads((first / MANIFEST).read_text())
    assert manifest["files"]["deep/rows.bin"] == [10, hashlib.sha256(b"0123456789").hexdigest()]
    assert manifest["parts"] == describe(PARTS)
    assert [(kind, folder) for kind, folder, _ in own_cache.entries()] == [("fit", first)]


def test_threads_that_race_make_it_once(own_cache: Cache) -> None:
    calls: list[int] = []
    found: list[Path] = []
    together = threading.Barrier(4)

    def make(draft: Path) -> None:
        calls.append(1)
        time.sleep(0.1)
        write(draft)

    def ask() -> None:
        together.wait()
        found.append(own_cache.build("fit", PARTS, make))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert found == [own_cache.folder("fit", PARTS)] * 4


def test_processes_that_race_make_it_once(own_cache: Cache, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"""
import time
from pathlib import Path
from kd_lab.cache import Cache
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


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(own_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

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


def test_an_error_that_is_not_the_disks_is_not_disguised(own_cache: Cache) -> None:
    def absent(draft: Path) -> None:
        (draft / "not there").read_text()

    with pytest.raises(FileNotFoundError):
        own_cache.build("fit", PARTS, absent)


# reading


@pytest.mark.parametrize(
    ("damage", "got"),
    [
        (lambda file: file.write_bytes(b"012345678X"), "other bytes"),
        (lambda file: file.write_bytes(b"01234"), "5 bytes"),
        (lambda file: file.unlink(), "no file"),
    ],
)
def test_a_damaged_file_is_refused_by_name_with_its_cure(own_cache: Cache, damage: Any, got: str) -> None:
    folder = own_cache.build("fit", PARTS, write)
    damage(folder / "deep" / "rows.bin")
    forget()
    with pytest.raises(UserError) as caught:
        own_cache.build("fit", PARTS, write)
    assert caught.value.where == str(folder / "deep" / "rows.bin")
    assert caught.value.got == got
    assert f"Delete {folder}" in caught.value.cure


@pytest.mark.parametrize("text", ["{", "[]", "{}", ""])
def test_a_damaged_manifest_is_refused_by_name(own_cache: Cache, text: str) -> None:
    folder = own_cache.build("fit", PARTS, write)
    (folder / MANIFEST).write_text(text)
    forget()
    with pytest.raises(UserError) as caught:
        check(folder)
    assert caught.value.where == str(folder / MANIFEST)


def test_the_cure_for_damage_works(own_cache: Cache) -> None:
    folder = own_cache.build("fit", PARTS, write)
    (folder / "about.json").unlink()
    forget()
    with pytest.raises(UserError):
        own_cache.build("fit", PARTS, write)
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    assert (own_cache.build("fit", PARTS, write) / "about.json").is_file()


def test_file_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert file_hash(tmp_path / "file") == known
