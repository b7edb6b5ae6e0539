"""An artifact is named by the code that makes it and by no other: what lies beside it renames nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import DictConfig

from kd_lab.cli.compose import compose
from kd_lab.core import code_hash as code
from kd_lab.core import trust
from kd_lab.core.code_hash import SILENT, closure, code_hash, file_alone_hash
from kd_lab.pipeline.plan import Plan

LINE = ["dataset=csv", "dataset.path=toy.csv", "model=lstm_attention", "compression=[prune_l1]"]
ARTIFACTS = ("tokens", "teacher", "fit", "compressed", "result")  # each made from those before it
MAKES = {  # the first of them that a mended file renames -> such files
    "tokens": "data.csv data.dataset data.tokenizer data.tokenized",
    "teacher": (
        "data.loader losses.term.cross_entropy models.encoder training.fit training.lightning_module "
        "training.optimizer training.checkpointing training.settings training.loop"
    ),
    # the student hears by `training.teacher_outputs` what the teacher says
    "fit": "losses.hybrid losses.term.kl losses.term.sequence training.teacher_outputs evaluation.inference",
    "compressed": "compression.apply compression.prune.magnitude compression.step",
    # `data.hub` knows which class is judged apart
    "result": (
        "data.hub evaluation.intervals evaluation.latency evaluation.predictions evaluation.scoring "
        "pipeline.cell pipeline.costs pipeline.provenance pipeline.run"
    ),
    "nothing": (
        "compression.quantize.onnx_int8 data.docstrings losses.term.logit_mse core.progress report.figures.heatmap "
        "cli.run"
    ),
}


READ = code._read


def forget() -> None:
    for kept in (code._closure, code._hash, READ, code._imported):
        kept.cache_clear()


@cache
def read_once(module: str, text: str) -> Any:
    """What is read of a module while its file holds this text."""
    return READ.__wrapped__(module)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of kd_lab whose files are hashed instead of kd_lab's."""
    copied = tmp_path / "kd_lab"
    shutil.copytree(code.PACKAGE, copied, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copied)
    monkeypatch.setattr(code, "_read", lambda module: read_once(module, code._file(module).read_text(encoding="utf-8")))
    forget()
    yield copied
    forget()


@pytest.fixture
def config(toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    monkeypatch.chdir(toy_csv.parent)
    assert toy_csv.name == "toy.csv"
    return compose(LINE)


def names(config: DictConfig) -> dict[str, str]:
    """Of a cell's artifacts, by the files as they are now."""
    forget()
    return Plan(config).fingerprints


def test_a_mended_file_renames_what_it_makes_and_what_is_made_from_that(package: Path, config: DictConfig) -> None:
    before = names(config)
    assert set(before) == set(ARTIFACTS)
    renamed, expected = {}, {}
    for first, modules in MAKES.items():
        for module in modules.split():
            file = package.joinpath(*module.split(".")).with_suffix(".py")
            text = file.read_text()
            file.write_text(f"{text}\nMENDED = True\n")
            now = names(config)
            file.write_text(text)
            renamed[module] = {kind for kind in before if now[kind] != before[kind]}
            expected[module] = {*ARTIFACTS[ARTIFACTS.index(first) :]} if first in ARTIFACTS else set()
    assert renamed == expected


def test_a_file_beside_the_others_renames_nothing(package: Path, config: DictConfig) -> None:
    before = names(config)
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (folder / "another.py").write_text("from kd_lab.losses.loss import Loss\n\n\nclass Another(Loss):\n    pass\n")
    assert names(config) == before


def test_words_and_layout_are_no_code(package: Path) -> None:
    (package / "inner.py").write_text("A = 1\n")
    plain = 'import kd_lab.inner\n\n\ndef f(x):\n    """Doc."""\n    return x + 1\n'

    def now(text: str) -> str:
        forget()
        (package / "idea.py").write_text(text)
        return code_hash("kd_lab.idea")

    first = now(plain)
    laid_out = (
        '"""Module."""\nimport kd_lab.inner\n# a comment\ndef f( x ):\n    """Other words."""\n\n    return (x + 1)\n'
    )
    assert now(laid_out) == first
    assert now(plain.replace('    """Doc."""\n', "")) == first
    assert now(plain.replace("x + 1", "x + 2")) != first
    assert now(plain.replace("return", "'a value, not a docstring'\n    return")) != first
    alone = file_alone_hash("kd_lab.idea")
    (package / "inner.py").write_text("A = 2\n")
    assert now(plain) != first
    now(plain.replace("return", "'a value, not a docstring'\n    return"))
    assert file_alone_hash("kd_lab.idea") == alone


def test_imports_are_followed_wherever_they_stand_but_not_a_type_checkers(package: Path) -> None:
    (package / "parts").mkdir()
    for name in ("one", "two", "three", "parts/__init__", "parts/four"):
        (package / f"{name}.py").write_text("A = 1\n")
    (package / "idea.py").write_text(
        "import json\nfrom typing import TYPE_CHECKING\n\nfrom kd_lab.one import A\nfrom kd_lab.parts import four\n\n"
        "if TYPE_CHECKING:\n    from kd_lab.three import A as B\n\n\n"
        "def f():\n    from kd_lab import two\n    from kd_lab.core import progress\n    return two\n"
    )
    assert closure(frozenset(["kd_lab.idea"])) == {"kd_lab.idea", "kd_lab.one", "kd_lab.two", "kd_lab.parts.four"}


def test_how_a_model_is_served_compressed_or_reported_renames_no_fit() -> None:
    run = closure(frozenset(["kd_lab.training.fit", "kd_lab.training.teacher_outputs"]))
    rooms = {name.split(".")[1] for name in run}
    assert not rooms & {"compression", "tracking", "pipeline", "sweeps", "report", "api", "cli"}
    served = {name for name in closure(frozenset(["kd_lab.training.fit"])) if name.startswith("kd_lab.serving.")}
    assert served == {"kd_lab.serving.label_decisions"}  # thresholds are a part of what a fit is judged by


def test_a_trusted_packages_files_count_with_all_that_they_import_and_no_others_do(own_package: Path) -> None:
    name = own_package.name
    files = {
        "__init__": "",
        "beside": "A = 1\n",
        "parts/__init__": "",
        "parts/inner": "A = 1\n",
        "parts/term": "import my_compiled\nfrom torch import Tensor\nfrom kd_lab.losses.base import Term\n"
        f"from .inner import A\nfrom .. import weights\nimport {name}.compiled\n\n\n"
        "class Mine(Term):\n    pass\n",
        "weights": "A = 1\n",
    }
    for file, text in files.items():
        (own_package / f"{file}.py").parent.mkdir(exist_ok=True)
        (own_package / f"{file}.py").write_text(text)
    term = f"{name}.parts.term"
    trust.trust_packages([name])
    found = {module.removeprefix(name) for module in closure(frozenset([term])) if module.startswith(name)}
    assert found == {"", ".parts", ".parts.term", ".parts.inner", ".weights"}
    assert "kd_lab.losses.base" in closure(frozenset([term]))
    first = code_hash(term)
    renamed = {}
    for file, text in files.items():
        (own_package / f"{file}.py").write_text(f"{text}\nMENDED = True\n")
        forget()
        renamed[file] = code_hash(term) != first
        (own_package / f"{file}.py").write_text(f"# {text}" if not text else f"{text}# said\n")
    assert renamed == {file: file != "beside" for file in files}
    forget()
    assert code_hash(term) == first


def test_of_an_object_its_class_counts_and_those_of_its_arguments() -> None:
    plan = Plan(compose(["model=distilbert_mini"]))
    loss, model = plan.student.loss, plan.student.model
    assert code_hash({"a": [loss]}) == code_hash(type(loss).__module__) != code_hash()
    assert code_hash(model) == code_hash("kd_lab.models.encoder", "kd_lab.data.checkpoint")
    assert code_hash(1, None, "kd_lab.core.types", SimpleNamespace()) == code_hash("kd_lab.core.types")


def test_the_name_of_what_pythons_parse_differently_is_this_one(package: Path) -> None:
    """Whichever Python runs this; the next test asks those that are here."""
    (package / "idea.py").write_text(
        'def f(x: int, /, *, width=3, **more) -> str:\n    """Doc."""\n'
        "    match x:\n        case [1, *_] | {'a': None}:\n            return f'{x:<{width}}  {x!r:>13,}' 'end'\n"
        "    return ''\n\n\nclass A:\n    b: int = 1\n"
    )
    assert code_hash("kd_lab.idea") == "bc76eceb95f93fef"


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_every_python_gives_the_same_name(minor: int) -> None:
    found = sorted(Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
    python = found[-1] if found else shutil.which(f"python3.{minor}")
    if python is None:
        pytest.skip(f"no Python 3.{minor} here: what it gives is not seen")
    files = [path.relative_to(code.PACKAGE.parent).with_suffix("") for path in sorted(code.PACKAGE.rglob("*.py"))]
    modules = [".".join(file.parts).removesuffix(".__init__") for file in files]
    line = f"import sys; sys.path.insert(0, {str(code.PACKAGE.parent)!r})"
    line += f"; from kd_lab.core.code_hash import file_alone_hash; print(file_alone_hash(*{modules!r}))"
    said = subprocess.run([python, "-I", "-c", line], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == file_alone_hash(*modules)


def test_what_is_silent_is_there() -> None:
    assert all(code._file(module).is_file() for module in SILENT)
