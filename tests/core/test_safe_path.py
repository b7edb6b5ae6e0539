"""Nothing of the working folder is imported, however kd_lab is started: files there are the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from quick_lines import ALONE, EPOCH, STUDENT, TOY

from kd_lab.core import safe_path
from kd_lab.core.paths import root

NAMES = ("queue", "re", "torch", "numpy", "onnx", "json", "hydra", "mlflow", "socket")  # Python's start finds "types"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which every import that finds a file of it leaves a mark."""
    for name in NAMES:
        lay(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(root()))
    monkeypatch.delenv(safe_path.SAFE, raising=False)
    return tmp_path


def lay(folder: Path, name: str) -> None:
    """A file that is named like a library."""
    (folder / f"{name}.py").write_text(f"open({str(folder / 'imported')!r}, 'a').write('{name} ')\n")


def ran(trap: Path, *line: str) -> subprocess.CompletedProcess[str]:
    """A Python that was started in the trap, and imported nothing that lies there."""
    done = subprocess.run([sys.executable, *line], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert not (trap / "imported").exists()
    return done


def test_the_measuring_process_imports_nothing_of_the_working_folder(trap: Path) -> None:
    lay(trap, "types")
    script = trap.parent / f"{trap.name}_script.py"  # as a console script, it lies elsewhere
    script.write_text(
        "from math import factorial\nfrom kd_lab.core.isolated_process import in_fresh_process\n"
        "print(in_fresh_process(factorial, 5, timeout_s=60))\n"
    )
    done = ran(trap, str(script))
    assert (done.stdout, done.stderr) == ("120\n", "")


def test_a_session_that_imports_from_the_working_folder_measures_without_it(trap: Path) -> None:
    code = (
        "import sys; sys.path.remove(''); from kd_lab.core import isolated_process, paths;"
        "isolated_process._LIBRARIES = ('queue', 'json', 'socket', 'numpy');"  # the test above takes them all
        "sys.path.insert(0, ''); print(isolated_process.in_fresh_process(paths.root, timeout_s=60));"
        "print(sys.path[0] == '')"
    )
    assert ran(trap, "-c", code).stdout == f"{root()}\nTrue\n"


def test_processes_that_are_started_do_without_it_too(trap: Path) -> None:
    code = (
        "import sys; sys.path.remove(''); import subprocess; from kd_lab.__main__ import command; command(['--help']);"
        "subprocess.run([sys.executable, '-c', 'import queue, socket'], check=True)"
    )
    ran(trap, "-c", code)


def test_an_empty_part_of_pythonpath_is_not_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f":/more{os.pathsep}")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/more", "/usual"])
    safe_path.leave_out_working_folder()
    assert sys.path == ["/more", "/usual"]
    assert os.environ["PYTHONPATH"] == "/more"


def test_a_folder_that_pythonpath_names_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert safe_path.without_working_folder(["", str(tmp_path), "/usual"]) == [str(tmp_path), "/usual"]


def test_a_checkout_comes_last_and_first_only_where_another_kd_lab_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root())
    monkeypatch.setenv("PYTHONPATH", "")
    assert safe_path.without_working_folder([str(root()), "/usual"]) == ["/usual", str(root())]
    (tmp_path / "kd_lab").mkdir()
    (tmp_path / "kd_lab" / "__init__.py").write_text("")
    other = str(tmp_path)
    assert safe_path.without_working_folder([str(root()), other]) == [str(root()), other]


@pytest.mark.usefixtures("toy_csv")
def test_a_whole_run_finishes_beside_files_named_like_libraries(trap: Path) -> None:
    ran(trap, "-m", "kd_lab", *TOY, *ALONE, *STUDENT, EPOCH, "name=q")
    assert len(list(trap.glob("multirun/q/*/result.json"))) == 1
