"""Every example of CONTRIBUTING.md runs: as files of kd_lab in a copy of it, and from a package of the reader's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_architecture import ROOMS

from kd_lab.core.paths import root

TEXT = (root() / "CONTRIBUTING.md").read_text(encoding="utf-8")
GUIDE = (root() / "docs" / "guides" / "adding_a_loss.md").read_text(encoding="utf-8")  # its loss, moved into kd_lab
FILE = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)```", re.DOTALL | re.MULTILINE)
FILES = dict(FILE.findall(TEXT)) | {
    name.replace("my_package/", "kd_lab/losses/term/"): text.replace("my_package.", "kd_lab.losses.term.")
    for name, text in FILE.findall(GUIDE)
    if not name.endswith("__init__.py")
}
(FORMAT,) = re.findall(r"^`kd_lab/core/formats\.py`, .*?```python\n(.*?)```", TEXT, flags=re.DOTALL | re.MULTILINE)
IN_KD_LAB, FROM_OUTSIDE = re.findall(r"```bash\n(.*?)\n```", TEXT)
QUICK = ["trainer.max_epochs=2", "evaluation=none", "tracking=none", "name=example"]
TOPICS = {"sport": "match goal team run", "food": "soup bread salt pear", "weather": "rain hail wind frost"}


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """The reader's folder: texts by class, nothing else."""
    folder = tmp_path / "work"
    (folder / "texts").mkdir(parents=True)
    for topic, words in TOPICS.items():
        lines = [f"the {word} of day {day}" for day in range(15) for word in words.split()]
        (folder / "texts" / f"{topic}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def typed(line: str, workplace: Path, *places: Path, more: list[str] = QUICK) -> subprocess.CompletedProcess[str]:
    """What becomes of a line as it is typed, with options that make it quick."""
    given, _, arguments = line.partition("kd-lab ")
    named = given.strip().removeprefix("PYTHONPATH=").replace("$PWD", str(workplace))
    path = os.pathsep.join([*filter(None, [named]), *map(str, places)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "kd_lab", *shlex.split(arguments), *more],
        cwd=workplace,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def result(workplace: Path) -> dict[str, Any]:
    (file,) = (workplace / "multirun" / "example").glob("*/result.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def write(files: dict[str, str], folder: Path) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def of_kd_lab() -> dict[str, str]:
    """The examples that lie in kd_lab and conf."""
    return {name: text for name, text in FILES.items() if "my_package" not in f"{name} {text}"}


def of_own_package() -> dict[str, str]:
    """The examples as CONTRIBUTING.md says that they may lie in a reader's own package; all but the new classifier."""
    moved = {"my_package/__init__.py": ""}
    modules = {
        name.removesuffix(".py").replace("/", "."): f"my_package.{Path(name).stem}"
        for name in FILES
        if name.startswith("kd_lab/")
    }
    for name, text in FILES.items():
        if "bag_of_words" not in name:
            place = f"my_package/{Path(name).name}" if name.startswith("kd_lab/") else name
            for old, new in modules.items() if name.endswith(".yaml") else ():
                text = text.replace(old, new)  # noqa: PLW2901
            moved[place] = text
    return moved


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of kd_lab with the examples as files of its own."""
    folder = tmp_path / "checkout"
    for name in ("kd_lab", "conf", "hydra_plugins"):
        shutil.copytree(root() / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    write(of_kd_lab(), folder)
    formats = folder / "kd_lab" / "core" / "formats.py"
    text, head = formats.read_text(encoding="utf-8"), "FORMATS = {\n"
    assert head in text
    formats.write_text(text.replace(head, head + FORMAT), encoding="utf-8")
    return folder


def test_there_is_an_example_of_each_kind_with_its_yaml() -> None:
    groups = {Path(name).parent.as_posix() for name in FILES if name.endswith(".yaml")}
    assert groups == {"conf/dataset", "conf/loss", "conf/compression", "conf/model"}
    assert all(yaml.safe_load(text) for name, text in FILES.items() if name.endswith(".yaml"))
    assert all(f"`{name}`" in TEXT for name in FILES)


def test_the_examples_run_as_files_of_kd_lab_and_their_model_is_loaded_again(copy: Path, workplace: Path) -> None:
    said = typed(IN_KD_LAB, workplace, copy)
    assert said.returncode == 0, said.stderr
    found = result(workplace)
    assert (found["status"], found["config"]["model"]["name"]) == ("finished", "bag_of_words")
    assert found["compression"]["round_weights"]["largest_change"] < 0.00051
    assert found["history"][-1]["train/focal"] < 1.1
    (model,) = workplace.glob("multirun/example/*/model")
    assert json.loads((model / "classifier.json").read_text())["format"] == "bag_of_words/1"
    said = typed(f"kd-lab predict --model {shlex.quote(str(model))}", workplace, copy, more=["rain and hail"])
    assert said.returncode == 0, said.stderr
    assert any(topic in said.stdout for topic in TOPICS)


def test_the_examples_run_from_a_package_of_ones_own(workplace: Path) -> None:
    write(of_own_package(), workplace)
    said = typed(FROM_OUTSIDE, workplace, root())
    assert said.returncode == 0, said.stderr
    found = result(workplace)
    assert found["config"]["dataset"]["_target_"] == "my_package.folder.Folder"
    assert found["config"]["model"]["_target_"] == "my_package.lstm_by_classes.LstmByClasses"
    assert found["config"]["loss"]["terms"]["focal"]["_target_"] == "my_package.focal.Focal"
    assert "round_weights" in found["compression"]


def test_the_examples_are_written_as_the_rest_is(copy: Path) -> None:
    shutil.copy(root() / "pyproject.toml", copy)
    write({name: text for name, text in of_own_package().items() if name.endswith(".py")}, copy)
    for what in (["check"], ["format", "--check"]):
        line = [sys.executable, "-m", "ruff", *what, "--no-cache", *[name for name in FILES if name.endswith(".py")]]
        said = subprocess.run(line, cwd=copy, capture_output=True, text=True, check=False)
        assert said.returncode == 0, said.stdout


def test_the_table_of_rooms_has_each_in_its_order() -> None:
    table = TEXT.partition("| room under")[2].partition("\n\n")[0]
    assert tuple(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == ROOMS
