"""`kd-lab export` copies a finished cell's model to a folder that answers alike."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ready_process import ReadyProcess
from small_study import NAME, cell

from kd_lab.__main__ import command
from kd_lab.core.results import RunResult
from kd_lab.models.saved_model import CARD
from kd_lab.serving import export as deployable
from kd_lab.serving.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house number 7", "no green song number 1"]
KILLED = """
import os, shutil, signal, sys
from kd_lab.__main__ import command
from kd_lab.serving import export as deployable

module, name = {"copy": (shutil, "copyfile"), "try": (deployable, "complete"), "move": (os, "replace")}[sys.argv[1]]
target, true, calls = sys.argv[2], getattr(module, name), []

def dies(*given):
    calls.extend(given[-1:] if name != "replace" or os.path.dirname(given[-1]) == target else ())
    if len(calls) == (1 if name == "complete" else 3):
        os.kill(os.getpid(), signal.SIGKILL)
    return true(*given)

setattr(module, name, dies)
command(["export", *sys.argv[3:], "--to", target])
"""


@pytest.fixture(scope="module")
def ready() -> Iterator[ReadyProcess]:
    """A process that can export at once."""
    process = ReadyProcess("kd_lab.cli.export", "kd_lab.models.encoder", "kd_lab.serving.text_classifier")
    yield process
    process.end()


def export(study: Path, name: str, to: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = command(["export", name, "--to", str(to), "--multirun", str(study.parent)])
    said = capsys.readouterr()
    return code, said.err if code else said.out


@pytest.mark.parametrize("compression", ["[]", "[onnx_int8]", "[trim_vocabulary,prune_heads]"])
def test_the_copy_is_whole_and_answers_alike(
    compression: str, small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cell(small_study, compression)
    code, said = export(small_study, f"{NAME}/{source.name}", tmp_path / "out", capsys)
    assert code == 0
    assert "MiB" in said
    files = {path.name for path in (source / "model").iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "out").iterdir())
    ours, theirs = (TextClassifier(folder).predict(TEXTS)[1] for folder in (source / "model", tmp_path / "out"))
    assert (ours == theirs).all()


def test_an_earlier_export_is_replaced_and_anything_else_is_not(
    small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{NAME}/{cell(small_study, kind).name}" for kind in ("[]", "[onnx_int8]")]
    assert export(small_study, names[0], tmp_path / "out", capsys)[0] == 0
    assert export(small_study, names[1], tmp_path / "out", capsys)[0] == 0
    assert (tmp_path / "out" / "model.onnx").is_file()
    assert not (tmp_path / "out" / "model.safetensors").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    code, said = export(small_study, names[0], tmp_path / "mine", capsys)
    assert code == 2
    assert "mine" in said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["nowhere", f"{NAME}/nowhere"])
def test_what_names_no_cell_is_one_line(
    name: str, small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = export(small_study, name, tmp_path / "out", capsys)
    assert code == 2
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("when", ["copy", "try", "move"])
def test_an_export_that_was_killed_is_made_whole_by_the_next(
    when: str,
    earlier: bool,
    small_study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ready: ReadyProcess,
) -> None:
    source, to = cell(small_study, "[]"), tmp_path / "out"
    if earlier:
        assert export(small_study, f"{NAME}/{cell(small_study, '[onnx_int8]').name}", to, capsys)[0] == 0
    given = [when, str(to), f"{NAME}/{source.name}", "--multirun", str(small_study.parent)]
    (tmp_path / "killed.py").write_text(KILLED)
    assert ready.run(tmp_path, tmp_path / "killed.py", *given).returncode == -signal.SIGKILL
    assert [path.name for path in to.iterdir() if path.is_dir()]
    assert (to / CARD).exists() == (earlier and when != "move"), "half a copy does not pass for a model"
    code, said = export(small_study, f"{NAME}/{source.name}", to, capsys)
    assert code == 0, said
    assert sorted(os.listdir(to)) == sorted(os.listdir(source / "model"))
    assert all((to / name).read_bytes() == (source / "model" / name).read_bytes() for name in os.listdir(to))


def test_a_draft_that_a_process_holds_or_that_holds_a_file_of_the_users_stays(
    small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, to = f"{NAME}/{cell(small_study, '[]').name}", tmp_path / "out"
    draft = to / ".export-4711"  # as earlier versions named it
    draft.mkdir(parents=True)
    (draft / CARD).touch()
    handle = os.open(draft, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    code, said = export(small_study, name, to, capsys)
    assert (code, said.count("\n"), ".export-4711" in said) == (2, 1, True)
    os.close(handle)
    for theirs in (draft / "thesis.txt", to / "thesis.txt"):
        theirs.touch()
        assert export(small_study, name, to, capsys)[0] == 2
        assert (draft / CARD).exists()
        assert theirs.exists()
        theirs.unlink()
    assert export(small_study, name, to, capsys)[0] == 0
    assert not draft.exists()


def test_what_somebody_puts_there_meanwhile_is_not_lost(
    small_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, to, complete = f"{NAME}/{cell(small_study, '[]').name}", tmp_path / "out", deployable.complete

    def slow(folder: Path, result: RunResult) -> None:
        (to / "thesis.txt").write_text("years of work")
        complete(folder, result)

    monkeypatch.setattr(deployable, "complete", slow)
    code, said = export(small_study, name, to, capsys)
    assert (code, said.count("\n"), "thesis.txt" in said) == (2, 1, True)
    assert os.listdir(to) == ["thesis.txt"]
