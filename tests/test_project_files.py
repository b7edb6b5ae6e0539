"""What stands beside the code agrees with it: versions, licence, hooks, workflows, the oldest dependencies."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from kd_lab.core.paths import root

PROJECT: dict[str, Any] = tomllib.loads((root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((root() / ".github" / "workflows").glob("*.yml"))
LINES = 150  # of README: five minutes


def read(name: str) -> str:
    return (root() / name).read_text(encoding="utf-8")


def commands(workflow: Path) -> list[list[str]]:
    """The commands of a workflow's jobs, each in its words."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values()
    return [shlex.split(step["run"]) for job in jobs for step in job["steps"] if "run" in step]


# the Makefile


def test_python_keeps_its_bytecode_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    line = ["make", "--no-print-directory", "--eval", 'told: ; @echo "[$$PYTHONDONTWRITEBYTECODE]"', "told"]
    assert subprocess.run(line, cwd=root(), capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_that_a_page_names_are_targets(page: str) -> None:
    named = set(re.findall(r"(?:^|`)make (\w+)", read(page), flags=re.MULTILINE))
    assert {"demo", "test"} <= named
    for target in named:
        assert f"\n{target}:" in read("Makefile"), target


# GitHub


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_each_command_of_a_workflow_is_there(workflow: Path) -> None:
    for program, target, *given in commands(workflow):
        if program == "bash":
            assert (root() / target).is_file()
            continue
        assert program == "make"
        assert f"\n{target}:" in read("Makefile")
        for variable in given:
            name, _, value = variable.partition("=")
            assert f"\n{name} ?=" in read("Makefile"), f"{name} is no variable of the Makefile's"
            assert name == "PYTHON" or (root() / value).is_file()
        assert (
            subprocess.run(["make", "-n", target, *given], cwd=root(), capture_output=True, check=False).returncode == 0
        )


def test_every_python_that_the_project_names_is_tested_and_the_oldest_dependencies_are() -> None:
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert jobs["tests"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    lines = [" ".join(line) for line in commands(root() / ".github" / "workflows" / "tests.yml")]
    assert "make test PYTHON=python CONSTRAINTS=constraints-oldest.txt" in lines
    assert {"make check PYTHON=python", "make test PYTHON=python", "make coverage PYTHON=python"} <= set(lines)


# dependencies


def test_the_oldest_constraints_are_the_lower_bounds() -> None:
    asked = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    bounds = {match[1]: match[2] for one in asked if (match := re.match(r"([\w.-]+)>=([\w.]+)", one))}
    lines = [line for line in read("constraints-oldest.txt").splitlines() if not line.startswith("#")]
    assert dict(line.split("==") for line in lines) == bounds
    assert lines == sorted(lines, key=str.lower)


def test_what_is_pinned_lies_within_the_bounds_and_every_direct_dependency_is_pinned() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pinned = dict(line.split("==") for line in read("constraints.txt").splitlines())
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    asked = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]
    for one in map(Requirement, asked):
        if one.name != "kd_lab":
            assert one.specifier.contains(pinned[canonicalize_name(one.name)]), one


@pytest.mark.parametrize(("given", "installer"), [("", ".venv/bin/python -m pip install"), ("uv", "uv pip install")])
def test_the_demo_installs_no_extra_and_the_tests_install_all(given: str, installer: str) -> None:
    def installs(target: str) -> list[str]:
        line = ["make", "-n", "-B", target, f"UV={given}"]
        said = subprocess.run(line, cwd=root(), capture_output=True, text=True, check=True).stdout
        lines = [one for one in said.splitlines() if "pip install" in one]
        assert all(one.startswith(installer) and "--constraint constraints.txt" in one for one in lines)
        return [shlex.split(one)[-1] for one in lines]

    assert installs("demo") == ["."]
    assert installs("test") == [".", ".[dev]"]


# what a reader is told


def test_readme_is_short_and_shows_the_demos_table_as_it_was_committed() -> None:
    assert len(read("README.md").splitlines()) <= LINES, "what else is to be said belongs into docs/"
    table = read("README.md").partition("<!-- demo table")[2].partition("-->")[2].partition("<!-- end")[0]
    assert table.strip() == read("experiments/demo/table.md").strip()


@pytest.mark.parametrize(
    ("page", "begins"),
    [
        ("demo.md", "Made on two cores"),
        ("guides/answers_to_4_mib.md", "The LSTM's weights"),
        ("guides/own_csv_to_int8.md", "In the demo"),
    ],
)
def test_pages_quote_the_demos_table_as_it_is(page: str, begins: str) -> None:
    (quoting,) = (text for text in read(f"docs/{page}").split("\n\n") if text.startswith(begins))
    figures = re.findall(r"\d+\.\d+", quoting)
    assert len(figures) > 1
    assert set(figures) <= set(re.findall(r"\d+\.\d+", read("experiments/demo/table.md")))


def test_the_citation_is_of_this_version_and_licence() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "version", "license"} <= set(citation)
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert [one["name"] for one in citation["authors"]] == [one["name"] for one in PROJECT["authors"]]
    assert read("LICENSE").startswith(f"{PROJECT['license']} License")


def test_the_changelog_begins_with_what_is_not_released_and_names_the_version() -> None:
    text = read("CHANGELOG.md")
    assert re.findall(r"^## \[(.*?)\]", text, flags=re.MULTILINE)[0] == "Unreleased"
    assert PROJECT["version"] in text
    kinds = re.findall(r"^### (\w+)", text, flags=re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_security_names_tests_that_are_there() -> None:
    for path in re.findall(r"`(tests/[\w./]+)`", read("SECURITY.md")):
        assert (root() / path).exists(), path


def test_the_hooks_are_what_make_check_runs_from_the_same_environment() -> None:
    (repo,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repo["repo"] == "local", "nothing is downloaded"
    entries = [" ".join(hook["entry"].split()[:2]) for hook in repo["hooks"]]
    said = subprocess.run(["make", "-n", "check"], cwd=root(), capture_output=True, text=True, check=True).stdout
    run = [
        line.replace(" --check", "")
        for line in said.splitlines()
        if line.startswith(".venv/bin/") and "pip" not in line
    ]
    assert entries == [line.removesuffix(" .") for line in run]
    assert {hook["language"] for hook in repo["hooks"]} == {"system"}
