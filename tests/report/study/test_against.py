"""All settings of a study are held against one of them, on the same rows, and the reference is named without doubt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade_cells import cell, keep, lost

from kd_lab.cli.report import report
from kd_lab.core.errors import UserError
from kd_lab.report.figures import against as figure
from kd_lab.report.study.against import Against, against, to_markdown
from kd_lab.report.study.settings import settings

ROWS = 400


def right(*ranges: tuple[int, int]) -> np.ndarray:
    """(N,) bool, the rows of these ranges."""
    return np.array([any(low <= row < high for low, high in ranges) for row in range(ROWS)])


CELLS = [cell([f"change={change}", f"seed={seed}"]) for change in ("none", "worse", "alike") for seed in (0, 1)]
SAID = [right((0, 300)), right((0, 302)), right((0, 250)), right((0, 252)), right((2, 302)), right((0, 302))]


@pytest.fixture
def multirun(tmp_path: Path) -> Path:
    keep(tmp_path, [*CELLS, lost(["change=broken", "seed=0"])], [*SAID, None])
    return tmp_path


def held(multirun: Path, given: str) -> Against:
    return against(multirun / "study", settings(CELLS), given)


def test_each_setting_is_compared_seed_by_seed_on_the_same_rows(multirun: Path) -> None:
    found = held(multirun, "change=none")
    assert found.reference.label == "change=none"
    worse, alike = found.differences
    assert [one.setting.label for one in found.differences] == ["change=worse", "change=alike"]
    assert worse.comparison.n == 2
    assert worse.comparison.difference == pytest.approx(-50 / ROWS)
    assert worse.comparison.low < -50 / ROWS < worse.comparison.high < 0
    assert worse.p_corrected < 0.001
    assert alike.comparison.difference == pytest.approx(0)
    assert worse.p_corrected == pytest.approx(2 * worse.comparison.p), "one of two tests"


def test_the_reference_may_be_any_and_then_the_sign_turns(multirun: Path) -> None:
    found = held(multirun, "change=worse").differences[0]
    assert found.setting.label == "change=none"
    assert found.comparison.difference == pytest.approx(50 / ROWS)


@pytest.mark.parametrize("given", ["change=other", "", "change=broken"])
def test_a_label_that_no_finished_setting_has_is_refused_with_those_that_are(multirun: Path, given: str) -> None:
    with pytest.raises(UserError, match="is that of none") as raised:
        held(multirun, given)
    assert raised.value.where == "--against"
    assert raised.value.cure.startswith("Give one of: 'change=none', 'change=worse'")
    assert held(multirun, "change=none").differences


def test_a_part_of_a_label_will_do_where_it_is_of_one_setting(tmp_path: Path) -> None:
    cells = [cell([f"a={a}", f"b={b}"]) for a in (1, 2) for b in (1, 2)]
    keep(tmp_path, cells, SAID[:4])
    assert against(tmp_path / "study", settings(cells), "b=2 a=1").reference.label == "a=1 b=2"
    with pytest.raises(UserError, match=r"'a=1', which is that of 2\. Give one of: 'a=1 b=1', 'a=1 b=2'"):
        against(tmp_path / "study", settings(cells), "a=1")


def test_without_answers_it_says_why(tmp_path: Path) -> None:
    keep(tmp_path, CELLS[:4], [None] * 4)
    page = to_markdown(against(tmp_path / "study", settings(CELLS[:4]), "change=none"), "line")
    assert "| - | no predictions |" in page


def test_the_command_prints_writes_and_keeps(
    multirun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "kept"
    line = ["study", f"--multirun={multirun}", f"--experiments={kept}", "--against", "change=none", "--keep"]
    assert report(line) == 1, "one cell failed"
    assert "against change=none" in capsys.readouterr().out
    page = (multirun / "study" / "report" / "against.md").read_text(encoding="utf-8")
    assert "Made by `kd-lab report study --against change=none`" in page
    assert "| change=worse | 2 |" in page
    assert "-12.5 [-1" in page
    assert (kept / "study" / "against.md").read_text(encoding="utf-8") == page
    assert (kept / "study" / "against.png").read_bytes().startswith(b"\x89PNG")
    assert report([*line, "--markdown"]) == 1
    assert "# Against change=none" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"--against.*'change=all', which is that of none"):
        report([*line[:-2], "change=all"])
    assert capsys.readouterr().out == "", "no table before it"


def test_the_picture_is_the_same_each_time_and_none_of_nothing(multirun: Path, tmp_path: Path) -> None:
    found = held(multirun, "change=none")
    first, second = (figure.draw(found, tmp_path / name) for name in ("one", "two"))
    assert [path.suffix for path in first] == [".png", ".svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert figure.draw(Against(found.reference, []), tmp_path / "none") == []
