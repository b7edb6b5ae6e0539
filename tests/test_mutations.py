"""The breaks of experiments/mutations can be made: each old text is there once, and what comes of it is Python."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from experiments.mutations import table
from experiments.mutations.breaks import BREAKS, Break
from experiments.mutations.run import ABSENT, CAUGHT, ERROR, FOLDER, SURVIVED, Tested, tried
from kd_lab.core.paths import root


def test_each_break_changes_one_place_and_leaves_python() -> None:
    for one in BREAKS:
        text = (root() / one.file).read_text(encoding="utf-8")
        broken = one.applied(text)
        assert broken is not None, f"{one.name}: its text stands {text.count(one.old)} times in {one.file}"
        assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(text)), f"{one.name}: it changes nothing"


def test_each_break_has_a_name_of_its_own_and_tests_that_are_there() -> None:
    assert len({one.name for one in BREAKS}) == len(BREAKS) >= 40
    for one in BREAKS:
        assert 1 <= len(one.tests) <= 3, one.name
        assert [file for file in one.tests if not (root() / "tests" / file).is_file()] == [], one.name


def test_every_room_is_broken() -> None:
    files = [path for package in ("kd_lab", "hydra_plugins") for path in (root() / package).rglob("*.py")]
    rooms = {path.parent.relative_to(root()).as_posix() for path in files if path.name != "__init__.py"}
    assert rooms == {Path(one.file).parent.as_posix() for one in BREAKS}


def test_each_outcome_is_told_apart_and_the_copy_is_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\n")
    before = file.stat().st_mtime_ns

    def run(files: Sequence[str]) -> Tested:
        """Test files by the exit code that a break leads to; one fails as it is."""
        whole, name = file.read_text() == "x = 1\n", files[0]
        code = {"sees.py": 1, "blind.py": 0, "dies.py": 2, "hangs.py": None}.get(name)
        return Tested((1 if name == "fails.py" else 0) if whole else code, 1.0, "words")

    given = [("sees.py",), ("blind.py",), ("dies.py",), ("hangs.py",), ("fails.py",), ("fails.py", "sees.py")]
    breaks = [Break(str(files), "a.py", "x = 1", "x = 2", files) for files in given]
    breaks.append(Break("moved", "a.py", "x = 3", "x = 2", ("sees.py",)))
    trials, unbroken = tried(tmp_path, breaks, run)
    assert [one.outcome for one in trials] == [CAUGHT, SURVIVED, ERROR, ERROR, ERROR, CAUGHT, ABSENT]
    assert trials[-2].tests == ["sees.py"]
    assert [name for name, one in unbroken.items() if one.code != 0] == ["fails.py"]
    assert (file.read_text(), file.stat().st_mtime_ns) == ("x = 1\n", before)


def test_readme_holds_the_table_that_the_results_make() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert table.placed(text) == text, "python -m experiments.mutations.table"
