"""Every block of README and of docs/ runs: `bash` and `python` here, word for word but shortened; `console` by CI.

Pages are read from start to end: a page's lines run in its order, and all pages share one workplace and one cache. A
line that stands on several pages runs once.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kd_lab.__main__ import VERBS, command
from kd_lab.cli import run
from kd_lab.core import trust
from kd_lab.core.paths import root

PAGES = [root() / "README.md", *sorted((root() / "docs").rglob("*.md"))]
TEXTS = {page.relative_to(root()).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
BLOCK = re.compile(
    r"(?:^`(?P<file>[\w./]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", flags=re.DOTALL | re.MULTILINE
)
SHORTENED = (  # what is added to a line that trains, so that it takes seconds
    "trainer.max_epochs=1",
    "teacher.trainer.max_epochs=1",
    "dataset.split.limit=160",
    "evaluation=none",
)
CELLS = 4  # of a sweep at most: two values each of its last axes, the first value of those before them
JUDGES = {"--check", "--gate"}  # exit code 1 where a model of one epoch is judged for what it is


def cases() -> list[Any]:
    """What is to be run, each once, in the order of the pages and named by its page; a real data set is marked."""
    found: dict[tuple[str, str], str] = {}
    for page, text in TEXTS.items():
        for block in BLOCK.finditer(text):
            if block["kind"] in ("bash", "python") and block["file"] is None:
                for one in commands(block["text"]) if block["kind"] == "bash" else [block["text"]]:
                    found.setdefault((block["kind"], one), page)
    return [
        pytest.param(
            kind,
            text,
            page,
            marks=[pytest.mark.shared] if "dataset=clinc" in text else [],
            id=f"{page}: {' '.join(text.split())[:80]}",
        )
        for (kind, text), page in found.items()
    ]


def commands(text: str) -> list[str]:
    """The lines of a block; a backslash at a line's end goes on."""
    return text.replace("\\\n", " ").strip().splitlines()


def fewer_cells(arguments: list[str]) -> list[str]:
    """A line of which a sweep has at most `CELLS` cells."""
    left, kept = CELLS, []
    for one in reversed(arguments):
        axis = re.fullmatch(r"([\w.]+=)([^,\[({]+),([^,]+).*", one)
        if axis is None:
            kept.append(one)
        else:
            kept.append(f"{axis[1]}{axis[2]},{axis[3]}" if left > 1 else f"{axis[1]}{axis[2]}")
            left //= 2
    return [*kept[::-1], *(["seed=0,1"] if "experiments=paper" in arguments else [])]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, empty_store: Callable[[Path], Path]) -> Path:
    """A folder with the reader's own files and those that pages have written out, and one cache for all blocks."""
    folder = tmp_path_factory.mktemp("docs")
    empty_store(folder / "multirun" / "mlflow.db")
    topics = {"sport": "match goal team", "food": "soup bread salt"}
    rows = [
        f"the {word} of day {day},{topic}" for day in range(10) for topic in topics for word in topics[topic].split()
    ]
    (folder / "mine.csv").write_text("Text,Label\n" + "\n".join(rows), encoding="utf-8")
    (folder / "answers.csv").write_text("text,label\n" + "\n".join(rows[::2]), encoding="utf-8")
    (folder / "more.txt").write_text("\n".join(f"some {word}" for words in topics.values() for word in words.split()))
    for text in TEXTS.values():
        for block in BLOCK.finditer(text):
            if block["file"]:
                path = folder / block["file"]
                assert ".." not in path.parts
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block["text"], encoding="utf-8")
    return folder


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, as the folder that a reader types in; packages that a line trusts are trusted no longer than it."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("KD_LAB_CACHE", str(workplace / "cache"))
    yield workplace
    trust.trust_packages(())


@pytest.mark.parametrize(("kind", "text", "page"), cases())
def test_a_block_runs(kind: str, text: str, page: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of README are tracked by MLflow, as they are typed."""
    quick = SHORTENED if page == "README.md" else (*SHORTENED, "tracking=none")
    if kind == "python":
        monkeypatch.syspath_prepend(here)
        cells = run.cells
        monkeypatch.setattr(run, "cells", lambda given, *how, **more: cells([*given, *quick], *how, **more))
        exec(compile(text, "docs", "exec"), {})  # noqa: S102 - our own text
        return
    given, name, rest = text.partition("kd-lab ")
    assert name, text
    if given:
        assert given.strip() == "PYTHONPATH=$PWD"
        monkeypatch.syspath_prepend(here)
    arguments = fewer_cells(shlex.split(rest))
    trains = not {*VERBS, "--help", "--cfg"} & set(arguments)
    fitted = not {"teacher=answers", "teacher=none"} & set(arguments)
    shortened = [one for one in quick if one not in arguments and (fitted or not one.startswith("teacher."))]
    shortened += [f"compression.{step}.epochs=0" for step in ("prune_heads", "prune_width") if step in rest]
    shortened += ["dataset.augmentation.factor=1"] if "method=recommended" in rest else []
    allowed = (0, 1) if JUDGES & set(arguments) else (0,)
    assert command([*arguments, *(shortened if trains else ())]) in allowed


@pytest.mark.parametrize("page", TEXTS)
def test_no_block_is_left_out(page: str) -> None:
    """A block without a kind is a picture."""
    text, found = TEXTS[page], list(BLOCK.finditer(TEXTS[page]))
    assert {block["kind"] for block in found} <= {"bash", "python", "console", "yaml", "csv"}
    assert all(block["file"] for block in found if block["kind"] in ("yaml", "csv")), "name the file above it"
    fences = re.findall(r"^```", text, flags=re.MULTILINE)
    assert len(fences) == 2 * (len(found) + len(re.findall(r"^```\n(?:(?!```).*\n)+```$", text, flags=re.MULTILINE)))


@pytest.mark.parametrize("page", [*TEXTS, "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_links_lead_to_files_and_headings_that_are_there(page: str) -> None:
    text = (root() / page).read_text(encoding="utf-8")
    for link, heading in re.findall(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)", text):
        path = (root() / page).parent / link if link else root() / page
        assert path.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], heading


def test_every_page_is_reached_from_readme() -> None:
    reached, todo = set(), ["README.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        for link in re.findall(r"\]\((?!https?://|#)([^)#]+\.md)", TEXTS[page]):
            there = ((root() / page).parent / link).resolve().relative_to(root().resolve()).as_posix()
            todo += [there] if there in TEXTS and there not in reached else []
    assert reached == set(TEXTS)


def test_the_site_has_every_page_of_docs() -> None:
    def pages(entries: list[Any]) -> list[str]:
        found = []
        for one in entries:
            value = next(iter(one.values())) if isinstance(one, dict) else one
            found += pages(value) if isinstance(value, list) else [value]
        return found

    there = pages(yaml.safe_load((root() / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    assert set(TEXTS) <= set(there)
    assert all((root() / page).is_file() for page in there)


# what the pages list


def rows(page: str) -> list[str]:
    return [line for line in TEXTS[page].splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("group", ["dataset", "tokenizer", "model", "teacher", "loss", "evaluation"])
def test_the_options_name_every_choice_of_their_groups(group: str) -> None:
    [row] = [line for line in rows("docs/options.md") if line.startswith(f"| `{group}` |")]
    for path in (root() / "conf" / group).glob("*.yaml"):
        assert path.stem in row


@pytest.mark.parametrize(
    ("page", "group"), [("compression", "compression"), ("losses", "loss"), ("teachers", "teacher")]
)
def test_a_page_says_what_each_choice_does(page: str, group: str) -> None:
    first = [line.split("|")[1] for line in rows(f"docs/{page}.md")]
    for path in (root() / "conf" / group).glob("*.yaml"):
        assert any(f"`{path.stem}`" in cell for cell in first), path.stem
