"""Nothing of the working folder is imported, however kd_lab is started: files there are the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kd_lab.core import safe_path
from kd_lab.core.paths import root

NAMES = ("queue", "re", "torch", "numpy", "onnx", "json", "types", "hydra", "mlflow", "socket")


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which every import that finds a file of it leaves a mark."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write('{name} ')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(root()))
    monkeypatch.delenv(safe_path.SAFE, raising=False)
    return tmp_path


def test_the_measuring_process_imports_nothing_of_the_working_folder(trap: Path) -> None:
    script = trap.parent / f"{trap.name}_script.py"  # as a console script, it lies elsewhere
    script.write_text(
        "from math import factorial\nfrom kd_lab.core.isolated_process import in_fresh_process\n"
        "print(in_fresh_process(factorial, 5, timeout_s=60))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("120\n", "", 0)
    assert not (trap / "imported").exists()


def test_a_session_that_imports_from_the_working_folder_measures_without_it(trap: Path) -> None:
    (trap / "types.py").unlink()  # Python's own start of `-c` would find it
    code = (
        "import sys; sys.path.remove(''); from kd_lab.core import isolated_process, paths;"
        "isolated_process._LIBRARIES = ('queue', 'json', 'socket', 'numpy');"  # the test above takes them all
        "sys.path.insert(0, ''); print(isolated_process.in_fresh_process(paths.root, timeout_s=60));"
        "print(sys.path[0] == '')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == f"{root()}\nTrue\n", done.stderr
    assert not (trap / "imported").exists()


def test_python_m_kd_lab_imports_nothing_of_the_working_folder(trap: Path) -> None:
    (trap / "types.py").unlink()  # Python's own start of `-m` would find it
    done = subprocess.run(
        [sys.executable, "-m", "kd_lab", "--cfg", "job"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (trap / "imported").exists()


def test_processes_that_are_started_do_without_it_too(trap: Path) -> None:
    (trap / "types.py").unlink()
    code = (
        "import sys; sys.path.remove(''); import subprocess; from kd_lab.__main__ import command; command(['--help']);"
        "subprocess.run([sys.executable, '-c', 'import queue, socket'], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert not (trap / "imported").exists()


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


def test_a_whole_run_finishes_beside_files_named_like_libraries(trap: Path) -> None:
    (trap / "types.py").unlink()  # Python's own start of `-m` would find it
    rows = [f"plain words {name} number {row},{name}" for row in range(40) for name in ("one", "two")]
    (trap / "base.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    line = [
        *("dataset=csv", "dataset.path=base.csv", "teacher=none", "loss=cross_entropy", "model=lstm_attention"),
        *(
            "model.init=random",
            "model.embedding=8",
            "model.hidden=8",
            "trainer.max_epochs=1",
            "trainer.device=cpu",
            "tracking=none",
        ),
        *("evaluation=none", "name=q"),
    ]
    done = subprocess.run([sys.executable, "-m", "kd_lab", *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list(trap.glob("multirun/q/*/result.json"))) == 1
    assert not (trap / "imported").exists()
