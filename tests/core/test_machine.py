from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

import pytest
import torch

from kd_lab.core import machine


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "kd_lab").mkdir()
    for name in ("kd_lab/__init__.py", "file", "table.md"):
        (tmp_path / name).write_text("one")
    me = ["-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    return tmp_path


def cpuinfo(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", folder / "cpuinfo")


def test_the_machine_is_plain_data_that_json_takes() -> None:
    about = machine.describe_machine()
    expected = {"processor", "architecture", "cores", "threads", "features", "memory_gib", "device"}
    assert json.loads(json.dumps(about)) == about
    assert about.keys() == expected
    assert about["threads"] == torch.get_num_threads()
    assert about["processor"]
    assert about["memory_gib"] > 0


def test_features_are_whole_flags_of_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo(tmp_path, monkeypatch, "model name\t: A CPU: fast\nflags\t\t: fpu avx512f avx2 avx512_bf16x\n")
    assert machine.features() == ["avx2", "avx512f"]
    assert machine.describe_machine()["processor"] == "A CPU: fast"


def test_a_machine_without_cpuinfo_has_a_name_and_no_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "none")
    assert machine.features() == []
    assert machine.describe_machine()["processor"]


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("avx2 amx_bf16", "bf16-mixed"), ("avx512_bf16", "bf16-mixed"), ("avx2 avx512f", "32-true")],
)
def test_a_cpu_fits_in_bfloat16_only_where_it_multiplies_it(
    flags: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo(tmp_path, monkeypatch, f"flags : {flags}\n")
    assert machine.best_precision("cpu") == precision
    assert machine.best_precision("mps") == "32-true"


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_a_gpu_fits_in_bfloat16_only_where_it_is_not_emulated(
    native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert machine.best_precision("cuda") == precision


@pytest.mark.parametrize(("cuda", "mps", "device"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_the_best_device_is_a_gpu_where_there_is_one(
    cuda: bool, mps: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert machine.best_device() == device


def test_versions_name_python_and_the_packages_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package"))
    found = {name: version.partition("+")[0] for name, version in machine.versions().items()}
    assert found == {"python": platform.python_version(), "torch": torch.__version__.partition("+")[0]}


def test_a_clean_checkout_is_its_commit(repository: Path) -> None:
    commit = machine.git_commit(repository)
    assert commit is not None
    assert len(commit) == 40
    (repository / "untracked").write_text("a result")
    assert machine.git_commit(repository) == commit


def test_a_changed_checkout_is_dirty(repository: Path) -> None:
    clean = machine.git_commit(repository)
    (repository / "file").write_text("two")
    assert machine.git_commit(repository) == f"{clean}-dirty"


def test_outside_git_or_without_it_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.git_commit(tmp_path) is None
    assert machine.git_commit(tmp_path / "none") is None
    monkeypatch.setenv("PATH", "")
    assert machine.git_commit(tmp_path) is None


def test_a_changed_markdown_file_leaves_the_checkout_clean(repository: Path) -> None:
    clean = machine.git_commit(repository)
    (repository / "table.md").write_text("two")
    assert machine.git_commit(repository) == clean


def test_a_wheel_in_another_projects_environment_has_no_commit(repository: Path) -> None:
    installed = repository / ".venv" / "lib" / "site-packages" / "kd_lab"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert machine.git_commit(installed) is None


def test_a_copy_of_the_code_that_a_repository_does_not_track_has_no_commit(repository: Path) -> None:
    copied = repository / "vendor"
    (copied / "kd_lab").mkdir(parents=True)
    (copied / "kd_lab" / "__init__.py").write_text("")
    assert machine.git_commit(copied) is None
    subprocess.run(["git", "-C", str(repository), "rm", "-rq", "--cached", "kd_lab"], check=True)
    assert machine.git_commit(repository) is None


def test_the_repository_whose_hook_calls_is_not_taken_for_ours(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, other = machine.git_commit(repository), tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert machine.git_commit(repository) == commit
